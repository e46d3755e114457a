"""Device selection, CPU threads, mixed precision and determinism."""

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
    """Set CPU threads, seed PyTorch, enable deterministic kernels on a GPU, and return the device.

    Args:
        threads: number of CPU threads.
        seed: seed of PyTorch's random generators.
        choice: ``auto`` claims a free GPU for the life of this process, and falls back to the CPU; ``gpu`` requires
            a GPU; ``cpu`` uses none.

    Raises:
        GendistError: if ``gpu`` is required and none is available, or GPUs cannot be claimed.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    device = CPU if choice == "cpu" else select_device(choice)
    # CPU kernels are deterministic by default; the setting only slows them down.
    if (deterministic := device.type == "cuda") != torch.are_deterministic_algorithms_enabled():
        set_deterministic(deterministic)
    _raise_malloc_thresholds()
    return device


def set_deterministic(enabled: bool) -> None:
    """Enable deterministic kernels, with a warning where PyTorch has none, or disable them."""
    torch.use_deterministic_algorithms(enabled, warn_only=True)  # imports PyTorch's compiler, which takes a second
    # A debugging aid that is on by default and launches one more kernel per new tensor.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    _enable_cudnn_attention(not enabled)


def _enable_cudnn_attention(enabled: bool) -> None:
    """Let attention use cuDNN, whose backward pass is not deterministic and synchronises the GPU in every layer."""
    torch.backends.cuda.enable_cudnn_sdp(enabled)


def select_device(choice: Device) -> torch.device:
    """Claim a GPU, or fall back to the CPU; the choice is logged.

    Raises:
        GendistError: as ``prepare``.
    """
    # Once CUDA is initialised, the process is bound to its GPU.
    gpu = claimed_gpu() if torch.cuda.is_initialized() else claim_gpu()
    visible = f" ({VISIBLE_VARIABLE}={os.environ[VISIBLE_VARIABLE]})" if VISIBLE_VARIABLE in os.environ else ""
    name = f"{gpu.name} ({gpu.model})" if gpu else ""
    if torch.cuda.is_available():
        _log_once(f"device: GPU {name or torch.cuda.get_device_name()}{visible}")
        return torch.device("cuda")
    if choice == "gpu":
        raise GendistError("device is 'gpu', but PyTorch sees none; give the job one, or set device to auto or cpu")
    _log_once("device: CPU" + (f" in place of {name}, which PyTorch cannot use" if gpu else "") + visible)
    return CPU


@contextmanager
def allow_nondeterministic() -> Iterator[None]:
    """Allow nondeterministic kernels, which are faster, in this context."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    if deterministic:
        torch.use_deterministic_algorithms(False)
        _enable_cudnn_attention(True)
    try:
        yield
    finally:
        if deterministic:
            torch.use_deterministic_algorithms(True, warn_only=True)
            _enable_cudnn_attention(False)


def hide_gpus() -> None:
    """Hide all GPUs from libraries that select a device themselves; call before CUDA is initialised."""
    os.environ[VISIBLE_VARIABLE] = ""


@cache
def _log_once(line: str) -> None:
    """Log a line once per process: a job calls ``prepare`` for each model that it trains."""
    log.info(line)


def mixed_precision(device: torch.device) -> torch.autocast:
    """Return a bf16 autocast context, disabled where the hardware only emulates bf16, which is slower than float32.

    For training only.
    """
    native = torch.cuda.is_bf16_supported() if device.type == "cuda" else cpu_has_bf16()
    return torch.autocast(device.type, torch.bfloat16, enabled=native)


def cpu_has_bf16() -> bool:
    """Return whether the CPU has bf16 matrix instructions (AVX-512 BF16 or AMX)."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _raise_malloc_thresholds() -> None:
    """Make glibc reuse freed blocks of up to 32 MB; otherwise page faults of new tensors take a fifth of the time."""
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD, its maximum
        mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD
