"""Slurm arrays only where they are safe.

The executor plugin (2.8) collects jobs of a rule until it has all that are ready. Jobs that a limit held back never
join, and those that it has wait for them without end. And sacct, asked as the plugin asks it, tells one state for all
members of an array.
"""

import logging
import subprocess
import sys
from typing import Any

log = logging.getLogger("snakemake.logging")


def check_arrays(scheduler: Any, n_jobs: int) -> None:
    """Let the Slurm executor submit jobs one by one where arrays would be waited for in vain or followed wrongly.

    Args:
        scheduler: Snakemake's.
        n_jobs: jobs of the whole study; a limit above it limits nothing.
    """
    executor = getattr(scheduler, "_executor", None)
    if not getattr(executor, "array_jobs", None):
        return
    scheduler.job_rate_limiter = None  # a limit too; an array is one submission anyway
    reason = limit_of(scheduler.global_resources, n_jobs) or status_of(executor)
    if reason:
        log.warning("No arrays: %s.", reason)
        executor.array_jobs = set()


def limit_of(resources: dict[str, int], n_jobs: int) -> str:
    """Name what may hold back one of the jobs that are ready; empty if nothing does."""
    counted = {"_nodes": "--jobs", "gpu": "--resources gpu"}
    for name, total in resources.items():
        if name == "_job_count" or total == sys.maxsize or (name in counted and total >= n_jobs):
            continue
        return f"{counted.get(name, f'--resources {name}')} limits how many jobs are submitted at once"
    return ""


def status_of(executor: Any) -> str:
    """Say why the states of jobs would be asked for with sacct; empty if squeue is asked."""
    settings = executor.workflow.executor_settings
    if settings.status_command != "squeue":
        return "sacct follows the jobs (slurm-status-command)"
    remembered = min_job_age()
    if remembered < 3 * settings.init_seconds_before_status_checks:  # the plugin's own condition
        return f"squeue forgets finished jobs after {remembered} seconds (MinJobAge), so sacct follows them"
    return ""


def min_job_age() -> int:
    """Return for how many seconds Slurm remembers finished jobs; 0 if it does not say."""
    try:
        told = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    values = [line.partition("=")[2].split() for line in told.splitlines() if line.startswith("MinJobAge")]
    return int(values[0][0]) if values and values[0] and values[0][0].isdigit() else 0
