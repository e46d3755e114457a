"""Which NVIDIA GPUs this process may use, told without PyTorch and without starting CUDA.

`nvidia-smi -L` lists them; `CUDA_VISIBLE_DEVICES` chooses among them as CUDA itself does: by
number or by the beginning of a UUID, and nothing after the first name that is none.
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
"""Environment variable for tests: so many devices are claimed as if they were there; jobs run on the CPU."""
NVIDIA_SMI_TIMEOUT = 60
"""Patience with nvidia-smi, which takes seconds where the driver has to wake and never ends where it is broken."""
GPU_LINE = re.compile(r"^GPU \d+: (?P<model>.*) \(UUID: (?P<uuid>GPU-[^)\s]+)\)$")
MIG_LINE = re.compile(r"^\s+MIG .*\(UUID: (?P<uuid>MIG-[^)\s]+)\)$")


@dataclass(frozen=True)
class Gpu:
    """A device that CUDA can be confined to."""

    name: str
    """UUID: what ``CUDA_VISIBLE_DEVICES`` takes, and the same for every process of the machine."""
    model: str
    """As NVIDIA calls it."""


def visible_gpus() -> list[Gpu]:
    """Return the GPUs that this process may use, in CUDA's order of preference; none if PyTorch cannot use any.

    Raises:
        GendistError: if ``CUDA_VISIBLE_DEVICES`` counts GPUs of several models in an order that only CUDA knows.
    """
    return select_gpus(list_gpus(), os.environ.get(VISIBLE_VARIABLE))


def is_gpu_assigned() -> bool:
    """Say whether somebody, such as Slurm, has already chosen one device for this process."""
    return len([name for name in os.environ.get(VISIBLE_VARIABLE, "").split(",") if name.strip()]) == 1


def list_gpus() -> list[list[Gpu]]:
    """Return the GPUs by slot, each as the parts that it is divided in (MIG), most often one."""
    fake = os.environ.get(FAKE_GPUS_VARIABLE)
    if fake is not None:
        return [[Gpu(f"FAKE-{i}", "fake")] for i in range(int(fake))]
    program = shutil.which("nvidia-smi")
    if program is None or _torch_has_no_cuda():
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
        log.warning("nvidia-smi gave no answer (%s): taken as no GPU", type(error).__name__)
        return []
    return parse_nvidia_smi(listed.stdout)


def parse_nvidia_smi(text: str) -> list[list[Gpu]]:
    """Read what ``nvidia-smi -L`` prints; a GPU that is divided in MIG parts is not usable as a whole."""
    found: list[tuple[Gpu, list[Gpu]]] = []
    for line in text.splitlines():
        if whole := GPU_LINE.match(line):
            found.append((Gpu(whole["uuid"], whole["model"]), []))
        elif (part := MIG_LINE.match(line)) and found:
            found[-1][1].append(Gpu(part["uuid"], f"{found[-1][0].model} (MIG)"))
    return [parts or [whole] for whole, parts in found]


def select_gpus(slots: list[list[Gpu]], names: str | None) -> list[Gpu]:
    """Return the GPUs that ``CUDA_VISIBLE_DEVICES`` leaves.

    Args:
        slots: what the machine has, from ``machine_gpus``.
        names: the variable's value; None if it is not set.

    Raises:
        GendistError: as of ``visible_gpus``.
    """
    if names is None:
        return [gpu for parts in slots for gpu in parts]
    words = [name.strip() for name in names.split(",") if name.strip()]
    left: list[Gpu] = []
    for word in words:
        gpu = _named(slots, word, alone=len(words) == 1)
        if gpu is None:
            break
        if gpu not in left:
            left.append(gpu)
    return left


def _named(slots: list[list[Gpu]], word: str, alone: bool) -> Gpu | None:
    if word.isdigit():
        return _numbered(slots, word, alone)
    if not word.upper().startswith(("GPU-", "MIG-", "FAKE-")):  # -1, NoDevFiles
        return None
    found = [gpu for parts in slots for gpu in parts if gpu.name.lower().startswith(word.lower())]
    return found[0] if len(found) == 1 else None


def _numbered(slots: list[list[Gpu]], word: str, alone: bool) -> Gpu | None:
    """CUDA counts the fastest GPU first, nvidia-smi by slot; equal ones both count by slot."""
    if int(word) >= len(slots):
        return None
    models = sorted({parts[0].model for parts in slots})
    if len(models) == 1 or os.environ.get(ORDER_VARIABLE) == "PCI_BUS_ID":
        return slots[int(word)][0]
    if alone:  # nothing is to choose: it need not be known which one it is
        return Gpu(word, "number as CUDA counts")
    raise GendistError(
        f"{VISIBLE_VARIABLE} counts GPUs of several models ({', '.join(models)}), which can be meant in two orders: "
        f"name them by UUID (nvidia-smi -L), or set {ORDER_VARIABLE}=PCI_BUS_ID"
    )


def _torch_has_no_cuda() -> bool:
    """Say whether the PyTorch installed here was built without CUDA; one that is not here may have it."""
    found = importlib.util.find_spec("torch")  # looks for it, does not load it
    version = Path(found.origin).with_name("version.py") if found and found.origin else None
    if version is None or not version.is_file():
        return False
    return runpy.run_path(str(version)).get("cuda") is None
