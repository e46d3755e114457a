"""Locks: which are in use, and which a killed run left behind.

Snakemake's own are files that outlive a crash, and two that start at once may both get theirs. So a run also holds
its ``run.log`` by ``flock``, which its jobs inherit with it and which ends with the last of them, however they end.
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
    """Return the ids of processes that run a workflow in the working directory, ours left out.

    These are Snakemakes, by whatever means they were started, and orphaned jobs of one.
    """
    import psutil  # type: ignore[import-untyped]

    us = [psutil.Process(), *psutil.Process().parents()]
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            named = any(Path(word).name == "snakemake" or "/.snakemake/" in word for word in words)
            if named and process not in us and Path(process.cwd()) == Path.cwd():
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


def slurm_jobs_here() -> list[str]:
    """Return the ids of our Slurm jobs, waiting or running, that work in this directory; none without Slurm."""
    squeue = ["squeue", "--user", getpass.getuser(), "--noheader", "--format=%i|%Z"]
    try:
        told = subprocess.run(squeue, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    jobs = [line.partition("|") for line in told.stdout.splitlines()]
    return [job.strip() for job, _, folder in jobs if Path(folder.strip()) == Path.cwd()]


def is_locked() -> bool:
    """Say whether there is any lock in the working directory."""
    return LOCKS.is_dir() and any(LOCKS.iterdir())


def is_in_use(results: str) -> bool:
    """Say whether another run works on the study with this results folder."""
    if not is_locked() or not processes_here():
        return False
    held = {line.strip() for file in LOCKS.iterdir() for line in file.read_text().splitlines()}
    return bool(held & {f"{results}/metrics.parquet", f"{results}/run_config.yaml"})


def remove_stale_locks() -> bool:
    """Remove what a crash or a power cut left behind: Snakemake's locks without a Snakemake.

    Returns:
        Whether there were any.

    Raises:
        GendistError: if they cannot be removed, or jobs of that run are still in a queue.
    """
    if not is_locked() or processes_here():
        return False
    if ids := slurm_jobs_here():
        raise GendistError(
            f"{Path.cwd()}: an earlier run was killed, but its jobs are still in Slurm's queue; "
            f"wait for them (squeue), or cancel them: scancel {' '.join(ids)}"
        )
    try:
        shutil.rmtree(LOCKS)  # all that `snakemake --unlock` does, without the seconds that it takes to start
    except OSError as error:
        raise GendistError(f"{LOCKS}: locks of a killed run cannot be removed ({error.strerror})") from None
    return True


@contextmanager
def locked_log(output: Path, patience: float = 2.0) -> Iterator[BinaryIO]:
    """Open a run's log for the one run that may write it; what stood in it is gone.

    Args:
        output: the log; its folder is made.
        patience: seconds that the last processes of a killed run are given to end.

    Raises:
        GendistError: if it cannot be written, or another run holds it.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        stream = output.open("ab")
    except OSError as error:
        told = explain_os_error(output, error)
        raise (told or GendistError(f"{output}: cannot be written ({error.strerror})")) from None
    with stream:
        until = time.monotonic() + patience
        while not _held(stream):
            if time.monotonic() > until:
                raise in_use_error()
            time.sleep(0.1)
        stream.truncate(0)
        yield stream


def _held(stream: BinaryIO) -> bool:
    """Take the lock of an open file if it is free; some systems have none, where Snakemake's must do."""
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
    """Return the error for a study that another run works on."""
    ids = ", ".join(map(str, processes_here())) or "unknown"
    return GendistError(
        f"{Path.cwd()}: another run works on this study (process {ids}); wait for it, or stop it and start again"
    )
