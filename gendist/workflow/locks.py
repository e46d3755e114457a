"""Snakemake's locks: which are in use, and which a killed run left behind."""

import getpass
import subprocess
from pathlib import Path

from gendist.errors import GendistError
from gendist.workflow.checkout import command

LOCKS = Path(".snakemake/locks")


def running_here() -> list[int]:
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


def queued_here() -> list[str]:
    """Return the ids of our Slurm jobs, waiting or running, that work in this directory; none without Slurm."""
    squeue = ["squeue", "--user", getpass.getuser(), "--noheader", "--format=%i|%Z"]
    try:
        told = subprocess.run(squeue, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    jobs = [line.partition("|") for line in told.stdout.splitlines()]
    return [job.strip() for job, _, folder in jobs if Path(folder.strip()) == Path.cwd()]


def locked() -> bool:
    """Say whether there is any lock in the working directory."""
    return LOCKS.is_dir() and any(LOCKS.iterdir())


def in_use(results: str) -> bool:
    """Say whether another run works on the study with this results folder."""
    if not locked() or not running_here():
        return False
    held = {line.strip() for file in LOCKS.iterdir() for line in file.read_text().splitlines()}
    return bool(held & {f"{results}/metrics.parquet", f"{results}/run_config.yaml"})


def remove_stale(config: Path) -> bool:
    """Remove what a crash or a power cut left behind: locks without a Snakemake.

    Returns:
        Whether there were any.

    Raises:
        GendistError: if Snakemake cannot remove them, or jobs of that run are still in a queue.
    """
    if not locked() or running_here():
        return False
    if ids := queued_here():
        raise GendistError(
            f"{Path.cwd()}: an earlier run was killed, but its jobs are still in Slurm's queue; "
            f"wait for them (squeue), or cancel them: scancel {' '.join(ids)}"
        )
    done = subprocess.run(command(config, "--unlock"), capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise GendistError(f"{Path.cwd() / LOCKS}: locks of a killed run cannot be removed ({said})")
    return True


def busy() -> GendistError:
    """Return the error for a study that another run works on."""
    ids = ", ".join(map(str, running_here())) or "unknown"
    return GendistError(
        f"{Path.cwd()}: another run works on this study (process {ids}); wait for it, or stop it and start again"
    )
