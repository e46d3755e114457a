"""The NVIDIA GPUs that this process can use, found without importing PyTorch or initialising CUDA.

`nvidia-smi -L` lists the GPUs; `CUDA_VISIBLE_DEVICES` selects among them with CUDA's rules: by index or UUID prefix,
up to the first invalid entry.
"""

import importlib.util
import logging
import os
import re
import runpy
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gendist.errors import GendistError

log = logging.getLogger(__name__)

VISIBLE_VARIABLE = "CUDA_VISIBLE_DEVICES"
ORDER_VARIABLE = "CUDA_DEVICE_ORDER"
FAKE_GPUS_VARIABLE = "GENDIST_FAKE_GPUS"
"""Environment variable for tests: number of simulated GPUs to claim; jobs run on the CPU."""
NVIDIA_SMI_TIMEOUT = 60
"""Seconds; nvidia-smi takes a few to initialise the driver, and hangs if the driver is broken."""
GPU_LINE = re.compile(r"^GPU \d+: (?P<model>.*) \(UUID: (?P<uuid>GPU-[^)\s]+)\)$")
MIG_LINE = re.compile(r"^\s+MIG .*\(UUID: (?P<uuid>MIG-[^)\s]+)\)$")


@dataclass(frozen=True)
class Gpu:
    """A GPU, or a MIG partition of one."""

    name: str
    """UUID, as in ``CUDA_VISIBLE_DEVICES``; the same for every process on the machine."""
    model: str
    """Product name."""


def visible_gpus() -> list[Gpu]:
    """Return the GPUs that this process can use, in CUDA's order; none if PyTorch has no CUDA support.

    Raises:
        GendistError: if ``CUDA_VISIBLE_DEVICES`` has indices, but GPUs of several models make their order ambiguous.
    """
    return select_gpus(list_gpus(), os.environ.get(VISIBLE_VARIABLE))


def is_gpu_assigned() -> bool:
    """Whether a scheduler such as Slurm has already assigned one GPU to this process."""
    return len([name for name in os.environ.get(VISIBLE_VARIABLE, "").split(",") if name.strip()]) == 1


def list_gpus() -> list[list[Gpu]]:
    """Return the machine's GPUs by index, each as a list of its MIG partitions, or of itself without MIG."""
    fake = os.environ.get(FAKE_GPUS_VARIABLE)
    if fake is not None:
        return [[Gpu(f"FAKE-{i}", "fake")] for i in range(int(fake))]
    program = shutil.which("nvidia-smi")
    if program is None or torch_lacks_cuda():
        return []
    try:
        listed = subprocess.run(
            [program, "-L"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=NVIDIA_SMI_TIMEOUT,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("nvidia-smi failed (%s): no GPU is used", type(error).__name__)
        return []
    return parse_nvidia_smi(listed.stdout)


def parse_nvidia_smi(text: str) -> list[list[Gpu]]:
    """Parse the output of ``nvidia-smi -L``; a GPU with MIG partitions is not usable as a whole."""
    found: list[tuple[Gpu, list[Gpu]]] = []
    for line in text.splitlines():
        if gpu := GPU_LINE.match(line):
            found.append((Gpu(gpu["uuid"], gpu["model"]), []))
        elif (partition := MIG_LINE.match(line)) and found:
            found[-1][1].append(Gpu(partition["uuid"], f"{found[-1][0].model} (MIG)"))
    return [partitions or [gpu] for gpu, partitions in found]


def select_gpus(gpus: list[list[Gpu]], value: str | None) -> list[Gpu]:
    """Return the GPUs that a value of ``CUDA_VISIBLE_DEVICES`` selects.

    Args:
        gpus: the machine's GPUs, from ``list_gpus``.
        value: the variable's value; None if unset.

    Raises:
        GendistError: see ``visible_gpus``.
    """
    if value is None:
        return [gpu for partitions in gpus for gpu in partitions]
    entries = [entry.strip() for entry in value.split(",") if entry.strip()]
    selected: list[Gpu] = []
    for entry in entries:
        gpu = _find_gpu(gpus, entry, single=len(entries) == 1)
        if gpu is None:
            break
        if gpu not in selected:
            selected.append(gpu)
    return selected


def _find_gpu(gpus: list[list[Gpu]], entry: str, single: bool) -> Gpu | None:
    if entry.isdigit():
        return _find_by_index(gpus, entry, single)
    if not entry.upper().startswith(("GPU-", "MIG-", "FAKE-")):  # -1, NoDevFiles
        return None
    found = [gpu for partitions in gpus for gpu in partitions if gpu.name.lower().startswith(entry.lower())]
    return found[0] if len(found) == 1 else None


def _find_by_index(gpus: list[list[Gpu]], entry: str, single: bool) -> Gpu | None:
    """Resolve an index: CUDA orders GPUs by speed, nvidia-smi by PCI bus; the orders agree for equal models."""
    if int(entry) >= len(gpus):
        return None
    models = sorted({partitions[0].model for partitions in gpus})
    if len(models) == 1 or os.environ.get(ORDER_VARIABLE) == "PCI_BUS_ID":
        return gpus[int(entry)][0]
    if single:  # a single entry needs no order: CUDA resolves it
        return Gpu(entry, "CUDA index")
    raise GendistError(
        f"{VISIBLE_VARIABLE} has indices of GPUs of several models ({', '.join(models)}), whose order is ambiguous: "
        f"use UUIDs (nvidia-smi -L), or set {ORDER_VARIABLE}=PCI_BUS_ID"
    )


def torch_lacks_cuda() -> bool:
    """Whether the installed PyTorch was built without CUDA; False if PyTorch is not installed."""
    found = importlib.util.find_spec("torch")  # does not import it
    version = Path(found.origin).with_name("version.py") if found and found.origin else None
    if version is None or not version.is_file():
        return False
    return runpy.run_path(str(version)).get("cuda") is None
