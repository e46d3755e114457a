"""Where computation runs: device, threads, precision, and repeatable randomness."""

import ctypes
import logging
import os
import platform

import torch

log = logging.getLogger(__name__)
VISIBLE = "CUDA_VISIBLE_DEVICES"
"""Environment variable with the GPUs that a process may use; a cluster sets it for every job."""


def pick_device() -> torch.device:
    """Return the first visible GPU, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def prepare(threads: int, seed: int) -> torch.device:
    """Set the number of CPU threads, seed torch, ask for deterministic kernels; return the device."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    device = pick_device()
    log.info("device: %s%s", device, f" ({VISIBLE}={os.environ[VISIBLE]})" if VISIBLE in os.environ else "")
    # A CPU repeats itself without being asked, and is slowed down by it.
    torch.use_deterministic_algorithms(device.type == "cuda", warn_only=True)
    _keep_memory()
    return device


def mixed_precision(device: torch.device) -> torch.autocast:
    """Return a bf16 autocast context where the hardware multiplies bf16 itself, else one that does nothing.

    For training only: emulated bf16 is slower than float32, and scores are always float32.
    """
    native = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_has_bf16()
    return torch.autocast(device.type, torch.bfloat16, enabled=native)


def _cpu_has_bf16() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _keep_memory() -> None:
    """Let glibc keep freed blocks of up to 32 MB: fetching tensors anew from the kernel costs a fifth of the time."""
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD, the most it takes
        mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD
