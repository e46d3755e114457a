"""Exclusive claim of one GPU for the lifetime of this process.

A claim is an exclusive `flock` on the GPU's lock file, in a folder shared by all users and studies of the machine.
The kernel releases it when the process dies, so an unlocked file has no meaning, and lock files are never removed.
Their content names the current or last owner, for people.
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
"""Environment variable that overrides ``DEFAULT_FOLDER``."""
DEFAULT_FOLDER = Path("/tmp/gendist-gpus")
"""Not tempfile.gettempdir(), which differs between users and jobs, nor a home folder, which may be on a network."""
FOLDER_HINT = f"set a folder on a local disk that is writable for every user: {FOLDER_VARIABLE}=/path"
POLL_SECONDS = 0.2
"""Mean seconds between two attempts while all GPUs are claimed."""
LOG_SECONDS = 600.0
"""Seconds between two log lines while waiting."""

_claims: dict[int, tuple[Gpu, FileLock | None]] = {}
"""The claimed GPU and its lock by process id: a forked child inherits no claim."""


def claim_gpu() -> Gpu | None:
    """Claim a free GPU and make it the only one visible to CUDA; wait while all are claimed.

    Call it before CUDA is initialised. The claim lasts until the process ends; further calls return the same GPU.
    Waiting processes are served in random order.

    Returns:
        The claimed GPU; None if the machine has none.

    Raises:
        GendistError: if the folder of the lock files is not usable; see also ``visible_gpus``.
    """
    if gpu := claimed_gpu():
        return gpu
    gpus = visible_gpus()
    if not gpus:
        return None
    if is_gpu_assigned():  # use it without waiting; the lock, if free, keeps other processes off it
        gpu, lock = gpus[0], _try_lock(gpus[0])
    else:
        gpu, lock = _wait_for_gpu(gpus)
        os.environ[VISIBLE_VARIABLE] = gpu.name
    _claims[os.getpid()] = gpu, lock
    return gpu


def claimed_gpu() -> Gpu | None:
    """Return the GPU that this process has claimed, or None."""
    gpu, _ = _claims.get(os.getpid(), (None, None))
    return gpu


def _wait_for_gpu(gpus: Sequence[Gpu]) -> tuple[Gpu, FileLock]:
    logged = float("-inf")
    while True:
        for gpu in gpus:
            if lock := _try_lock(gpu):
                return gpu, lock
        if time.monotonic() - logged > LOG_SECONDS:
            logged = time.monotonic()
            log.info("waiting for a GPU; %s", "; ".join(f"{gpu.name}: {lock_owner(gpu)}" for gpu in gpus))
        time.sleep(random.uniform(0.5, 1.5) * POLL_SECONDS)


def _try_lock(gpu: Gpu) -> FileLock | None:
    """Acquire a GPU's lock; None if another process has it."""
    # Forked children close their copy (by filelock), spawned ones never inherit it: a child that outlives this process
    # does not extend the claim. No fallback to a soft lock, which would survive a crash.
    lock = FileLock(
        lock_file(gpu), timeout=0, mode=0o666, thread_local=False, fallback_to_soft=False, on_acquired=_write_owner
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


def _write_owner(file: int) -> None:
    """Write the owner into the lock file; a failed write is ignored."""
    with suppress(OSError):
        os.ftruncate(file, 0)
        os.pwrite(file, f"process {os.getpid()} of {_user()} on {os.uname().nodename}: {_script_name()}\n".encode(), 0)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container user without a name
        return f"user {os.getuid()}"


def _script_name() -> str:
    # Snakemake runs a copy with a name such as tmpabcdef12.generate_shard.py.
    return Path(sys.argv[0]).stem.rpartition(".")[2] or "python"


def lock_owner(gpu: Gpu) -> str:
    """Return the owner of a GPU's lock file as text."""
    try:
        return lock_file(gpu).read_text(encoding="utf-8", errors="replace").strip()[:200] or "unknown process"
    except OSError:
        return "unknown process"


def lock_file(gpu: Gpu) -> Path:
    """Return the lock file of a GPU; its folder is created.

    Raises:
        GendistError: if the folder is not usable.
    """
    return lock_folder() / f"{gpu.name}.lock"


def lock_folder() -> Path:
    """Create the folder of the lock files: writable for everybody, with the sticky bit.

    Raises:
        GendistError: if it cannot be created, or is not a folder.
    """
    folder = Path(os.environ.get(FOLDER_VARIABLE) or DEFAULT_FOLDER)
    before = os.umask(0)
    try:
        folder.mkdir(0o1777)
    except FileExistsError:
        pass
    except OSError as error:
        raise GendistError(
            f"{folder}: cannot create the folder for GPU locks ({error.strerror}); {FOLDER_HINT}"
        ) from None
    finally:
        os.umask(before)
    if not folder.is_dir() or (folder == DEFAULT_FOLDER and folder.is_symlink()):
        raise GendistError(f"{folder}: not a folder, required for GPU locks; {FOLDER_HINT}")
    return folder
