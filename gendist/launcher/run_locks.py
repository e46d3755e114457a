"""Locks of runs: detects active runs, and removes stale locks of killed ones.

Snakemake's lock files outlive a crash, and two runs that start at the same time can both create them. A run therefore
also takes a ``flock`` on its ``run.log``. Its jobs inherit the lock, and the kernel releases it with the last of them.
"""

import getpass
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from gendist.errors import GendistError
from gendist.io.os_errors import explain_os_error

LOCKS = Path(".snakemake/locks")


def processes_here() -> list[int]:
    """Return the ids of other processes that run a workflow in the working directory: Snakemakes and orphaned jobs."""
    import psutil  # type: ignore[import-untyped]

    own = [psutil.Process(), *psutil.Process().parents()]
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            is_workflow = any(Path(word).name == "snakemake" or "/.snakemake/" in word for word in words)
            if is_workflow and process not in own and Path(process.cwd()) == Path.cwd():
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


def slurm_jobs_here() -> list[str]:
    """Return the ids of the user's pending and running Slurm jobs in the working directory; none without Slurm."""
    squeue = ["squeue", "--user", getpass.getuser(), "--noheader", "--format=%i|%Z"]
    try:
        queue = subprocess.run(squeue, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    jobs = [line.partition("|") for line in queue.stdout.splitlines()]
    return [job.strip() for job, _, folder in jobs if Path(folder.strip()) == Path.cwd()]


def is_locked() -> bool:
    """Whether the working directory has a Snakemake lock, active or stale."""
    return LOCKS.is_dir() and any(LOCKS.iterdir())


def is_in_use(results: str) -> bool:
    """Whether another run is active on the study with this results folder."""
    if not is_locked() or not processes_here():
        return False
    outputs = {line.strip() for file in LOCKS.iterdir() for line in file.read_text().splitlines()}
    return bool(outputs & {f"{results}/metrics.parquet", f"{results}/run_config.yaml"})


def remove_stale_locks() -> bool:
    """Remove Snakemake's locks if no Snakemake is running, as after a crash or a power cut.

    Returns:
        Whether stale locks were removed.

    Raises:
        GendistError: if they cannot be removed, or Slurm jobs of that run are still queued.
    """
    if not is_locked() or processes_here():
        return False
    if ids := slurm_jobs_here():
        raise GendistError(
            f"{Path.cwd()}: an earlier run was killed, but its jobs are still in Slurm's queue; "
            f"wait for them (squeue), or cancel them: scancel {' '.join(ids)}"
        )
    try:
        shutil.rmtree(LOCKS)  # as `snakemake --unlock` does, without its start-up time
    except OSError as error:
        raise GendistError(f"{LOCKS}: cannot remove the locks of a killed run ({error.strerror})") from None
    return True


@contextmanager
def locked_log(output: Path, timeout: float = 2.0) -> Iterator[BinaryIO]:
    """Open a run's log with an exclusive lock, and truncate it.

    Args:
        output: the log; its folder is created.
        timeout: seconds to wait for the last processes of a killed run.

    Raises:
        GendistError: if it is not writable, or another run has the lock.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        stream = output.open("ab")
    except OSError as error:
        explained = explain_os_error(output, error)
        raise (explained or GendistError(f"{output}: cannot be written ({error.strerror})")) from None
    with stream:
        deadline = time.monotonic() + timeout
        while not _try_lock(stream):
            if time.monotonic() > deadline:
                raise in_use_error()
            time.sleep(0.1)
        stream.truncate(0)
        yield stream


def _try_lock(stream: BinaryIO) -> bool:
    """Lock an open file; return whether it succeeded. Without ``flock`` support, only Snakemake's locks apply."""
    with suppress(ImportError):
        import fcntl

        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            pass
    return True


def in_use_error() -> GendistError:
    """Return the error for a study on which another run is active."""
    ids = ", ".join(map(str, processes_here())) or "unknown"
    return GendistError(
        f"{Path.cwd()}: another run is active on this study (process {ids}); wait for it, or stop it and rerun"
    )
