"""One GPU for this process alone, until it ends.

A claim is an exclusive `flock` on a file that stands for the device, in a folder common to all
users and studies of the machine. The kernel drops it when the process dies, however it dies;
so a file that lies there means nothing, only its lock does, and none is ever removed.
What is written in the file tells people who holds, or last held, the device.
"""

import getpass
import logging
import os
import random
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from gendist.errors import GendistError
from gendist.jobs.visible_gpus import VISIBLE_VARIABLE, Gpu, is_gpu_assigned, visible_gpus

log = logging.getLogger(__name__)

FOLDER_VARIABLE = "GENDIST_GPU_LOCKS"
"""Environment variable with a folder for the claims in place of ``DEFAULT_FOLDER``."""
DEFAULT_FOLDER = Path("/tmp/gendist-gpus")
"""Not tempfile.gettempdir(), which differs between users and jobs; never in a home, which may lie on a network."""
FOLDER_HINT = f"name a folder on a local disk in which every user may write: {FOLDER_VARIABLE}=/path"
POLL_SECONDS = 0.2
"""Mean seconds between two looks while all devices are taken."""
LOG_SECONDS = 600.0
"""Seconds between two lines that say who is waited for."""

_claims: dict[int, tuple[Gpu, FileLock | None]] = {}
"""This process's device and its lock, by process id: a forked child has neither."""


def claim_gpu() -> Gpu | None:
    """Take a free GPU and make it the only one that CUDA sees here; wait while all are taken.

    To be called before CUDA starts in this process. The claim ends with the process; asking
    again gives the same device. Among those who wait for a device, chance decides.

    Returns:
        The device; None if there is none.

    Raises:
        GendistError: if the folder of the claims cannot be used, or as of ``visible_gpus``.
    """
    if held := claimed_gpu():
        return held
    gpus = visible_gpus()
    if not gpus:
        return None
    if is_gpu_assigned():  # as it is, without waiting; the lock, if it is free, keeps others who choose away
        gpu, lock = gpus[0], _try(gpus[0])
    else:
        gpu, lock = _wait_for_one(gpus)
        os.environ[VISIBLE_VARIABLE] = gpu.name
    _claims[os.getpid()] = gpu, lock
    return gpu


def claimed_gpu() -> Gpu | None:
    """Return the device that this process has claimed; None if it has none."""
    gpu, _ = _claims.get(os.getpid(), (None, None))
    return gpu


def _wait_for_one(gpus: Sequence[Gpu]) -> tuple[Gpu, FileLock]:
    told = float("-inf")
    while True:
        for gpu in gpus:
            if lock := _try(gpu):
                return gpu, lock
        if time.monotonic() - told > LOG_SECONDS:
            told = time.monotonic()
            log.info("waiting for a GPU; %s", "; ".join(f"{gpu.name}: {lock_owner(gpu)}" for gpu in gpus))
        time.sleep(random.uniform(0.5, 1.5) * POLL_SECONDS)


def _try(gpu: Gpu) -> FileLock | None:
    """Take a device's lock, or None if somebody has it."""
    # Children that are forked close their copy (filelock sees to it), those that are started never get one: a
    # process that outlives this one holds no device. A soft lock would survive a crash, so there is none.
    lock = FileLock(
        lock_file(gpu), timeout=0, mode=0o666, thread_local=False, fallback_to_soft=False, on_acquired=_sign
    )
    try:
        lock.acquire()
    except Timeout:
        return None
    except OSError as error:
        raise GendistError(
            f"{lock_file(gpu)}: this GPU cannot be claimed ({error.strerror or error}); {FOLDER_HINT}"
        ) from None
    return lock


def _sign(file: int) -> None:
    """Write down who has the device; that it cannot be written is no reason not to compute."""
    with suppress(OSError):
        os.ftruncate(file, 0)
        os.pwrite(file, f"process {os.getpid()} of {_user()} on {os.uname().nodename}: {_what()}\n".encode(), 0)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return f"user {os.getuid()}"


def _what() -> str:
    # Snakemake runs a copy under a name such as tmpabcdef12.generate_shard.py.
    return Path(sys.argv[0]).stem.rpartition(".")[2] or "python"


def lock_owner(gpu: Gpu) -> str:
    """Return who has a device, for people."""
    try:
        return lock_file(gpu).read_text(encoding="utf-8", errors="replace").strip()[:200] or "somebody"
    except OSError:
        return "somebody"


def lock_file(gpu: Gpu) -> Path:
    """Return the file that stands for a device; its folder is made.

    Raises:
        GendistError: if the folder cannot be used.
    """
    return lock_folder() / f"{gpu.name}.lock"


def lock_folder() -> Path:
    """Make the folder of the claims, in which everybody may make files and nobody remove another's.

    Raises:
        GendistError: if it cannot be made, or is something else.
    """
    folder = Path(os.environ.get(FOLDER_VARIABLE) or DEFAULT_FOLDER)
    before = os.umask(0)
    try:
        folder.mkdir(0o1777)
    except FileExistsError:
        pass
    except OSError as error:
        raise GendistError(f"{folder}: GPUs cannot be claimed there ({error.strerror}); {FOLDER_HINT}") from None
    finally:
        os.umask(before)
    if not folder.is_dir() or (folder == DEFAULT_FOLDER and folder.is_symlink()):
        raise GendistError(f"{folder}: GPUs are claimed in a folder of this name, which this is not; {FOLDER_HINT}")
    return folder
