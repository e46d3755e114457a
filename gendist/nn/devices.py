"""Where computation runs: device, threads, precision, and repeatable randomness."""

import ctypes
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

from gendist.config.base_settings import Device
from gendist.errors import GendistError
from gendist.jobs.gpu_claims import claim_gpu, claimed_gpu
from gendist.jobs.visible_gpus import VISIBLE_VARIABLE

log = logging.getLogger(__name__)

CPU = torch.device("cpu")


def prepare(threads: int, seed: int, choice: Device = "cpu") -> torch.device:
    """Set the number of CPU threads, seed torch, ask for deterministic kernels; return the device.

    Args:
        threads: CPU threads.
        seed: for torch.
        choice: a GPU is claimed for this process until it ends if there is one (``auto``), or must be there
            (``gpu``); or none is used (``cpu``).

    Raises:
        GendistError: if a GPU must be there and is not, or GPUs cannot be claimed.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    device = CPU if choice == "cpu" else pick_device(choice)
    # A CPU repeats itself without being asked, and is slowed down by it.
    if (wanted := device.type == "cuda") != torch.are_deterministic_algorithms_enabled():
        ask_for_deterministic_kernels(wanted)
    _keep_memory()
    return device


def ask_for_deterministic_kernels(wanted: bool) -> None:
    """Have PyTorch take kernels that repeat themselves, where it has them, or any."""
    torch.use_deterministic_algorithms(wanted, warn_only=True)  # imports PyTorch's compiler: a second
    # On by default, for debugging: a kernel more for each new tensor.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def pick_device(choice: Device) -> torch.device:
    """Claim a GPU and return it, or the CPU where there is none; one line of the log says which.

    Raises:
        GendistError: as of ``prepare``.
    """
    # Where this process has used CUDA before, it is too late to choose.
    gpu = claimed_gpu() if torch.cuda.is_initialized() else claim_gpu()
    seen = f" ({VISIBLE_VARIABLE}={os.environ[VISIBLE_VARIABLE]})" if VISIBLE_VARIABLE in os.environ else ""
    name = f"{gpu.name} ({gpu.model})" if gpu else ""
    if torch.cuda.is_available():
        _tell(f"device: GPU {name or torch.cuda.get_device_name()}{seen}")
        return torch.device("cuda")
    if choice == "gpu":
        raise GendistError("device is 'gpu', but PyTorch sees none; give the job one, or set device to auto or cpu")
    _tell("device: CPU" + (f" in place of {name}, which PyTorch cannot use" if gpu else "") + seen)
    return CPU


@contextmanager
def any_kernels() -> Iterator[None]:
    """Let go of deterministic kernels for a while: others are faster."""
    asked = torch.are_deterministic_algorithms_enabled()
    if asked:
        torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        if asked:
            torch.use_deterministic_algorithms(True, warn_only=True)


def hide_gpus() -> None:
    """Keep libraries that choose by themselves from GPUs; to be called before CUDA starts in this process."""
    os.environ[VISIBLE_VARIABLE] = ""


@cache
def _tell(line: str) -> None:
    """Log a line once in a process: a job prepares anew for each model that it trains."""
    log.info(line)


def mixed_precision(device: torch.device) -> torch.autocast:
    """Return a bf16 autocast context where the hardware multiplies bf16 itself, else one that does nothing.

    For training only: emulated bf16 is slower than float32, and scores are always float32.
    """
    native = torch.cuda.is_bf16_supported() if device.type == "cuda" else cpu_has_bf16()
    return torch.autocast(device.type, torch.bfloat16, enabled=native)


def cpu_has_bf16() -> bool:
    """Say whether the processor multiplies bf16 itself."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _keep_memory() -> None:
    """Let glibc keep freed blocks of up to 32 MB: fetching tensors anew from the kernel costs a fifth of the time."""
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD, the most it takes
        mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD
