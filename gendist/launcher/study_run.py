"""A run of a study from the first lock to the last table."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console

from gendist.config import Study
from gendist.config.study_plan import too_many_shards
from gendist.errors import GendistError
from gendist.io.os_errors import disk_full_error, is_disk_full
from gendist.launcher.progress_display import progress_display
from gendist.launcher.run_locks import in_use_error, is_in_use, remove_stale_locks
from gendist.launcher.snakemake_process import run_snakemake, startup_error
from gendist.launcher.study_state import StudyState, error_line
from gendist.launcher.temporary_files import remove_stale_files

NAME = "gendist"
MAX_FAILURES_SHOWN = 5
"""Failed jobs that are shown one by one."""


def run_study(config: Path, study: Study, arguments: Sequence[str]) -> int:
    """Run a study in the working directory and say where its results are.

    Args:
        config: its config.
        study: the same, read.
        arguments: for Snakemake.

    Returns:
        The exit status, as of ``run_jobs``.

    Raises:
        GendistError: if nothing could be started.
    """
    status = run_jobs(config, study, arguments)
    if status == 0:
        print_results(study)
    return status


def run_jobs(config: Path, study: Study, arguments: Sequence[str]) -> int:
    """Run what a study lacks in the working directory, showing how far it is.

    Args:
        config: its config.
        study: the same, read.
        arguments: for Snakemake; files after ``--`` are made in place of the whole study.

    Returns:
        The exit status: 0, 1 if a job failed, 130 if the user interrupted it.

    Raises:
        GendistError: if nothing could be started.
    """
    output = Path(study.results) / "logs" / "run.log"
    if is_in_use(study.results):  # before its run.log is written over
        raise in_use_error()
    if remove_stale_locks():
        typer.echo("Removed the lock of a run that was killed.")
    remove_stale_files()
    if advice := too_many_shards(study):
        typer.echo(f"note: {advice}", err=True)
    with progress_display(Console()) as show:
        # Everything but the host's name goes to the file; the profile's quietness is meant for terminals.
        state, status, interrupted = run_snakemake(config, ["--quiet", "host", *arguments], output, show)
    if interrupted and status:
        typer.echo(f"Interrupted: {_kept(state)}. Run the same command again to resume.")
        return 130
    if status < 0:
        raise GendistError(
            f"Snakemake was killed (signal {-status}; out of memory?); {_kept(state)}. Run the same command again to "
            "resume"
        )
    if status and is_disk_full(output.parent):  # the logs, too, may lack the reason
        raise disk_full_error(output.parent.parent)
    if status and not state.failed:
        raise startup_error(output, state.planned)
    if state.failed:
        _tell_failures(state, output)
        return 1
    typer.echo(state.summary() if state.todo() else "Everything was up to date.")
    return 0


def _kept(state: StudyState) -> str:
    """Say how many jobs need not run again; jobs that ended with the run did not fail."""
    return f"{state.done} of {len(state.jobs)} jobs kept"


def _tell_failures(state: StudyState, output: Path) -> None:
    failed = [state.jobs[i] for i in sorted(state.failed)]
    for job in failed[:MAX_FAILURES_SHOWN]:
        typer.echo(f"failed: {job.name}: {error_line(job)}\n  log: {', '.join(job.log) or output}", err=True)
    if len(failed) > MAX_FAILURES_SHOWN:
        typer.echo(f"and {len(failed) - MAX_FAILURES_SHOWN} more", err=True)
    typer.echo(f"{len(state.failed)} failed, {_kept(state)}. Everything that was printed: {output}", err=True)
    typer.echo("Fix the problem and run the same command again to resume.", err=True)


def print_results(study: Study) -> None:
    """Print Table 1 and where everything is."""
    results = Path(study.results)
    table1 = results / "tables" / "table1.md"
    if table1.exists():
        typer.echo("\n" + table1.read_text(encoding="utf-8").strip() + "\n")
    places = [("Tables", results / "tables"), ("Figures", results / "figures"), ("Report", results / "report.html")]
    typer.echo("   ".join(f"{name}: {path}{'/' if path.is_dir() else ''}" for name, path in places if path.exists()))
    for model in (results / dataset / "export" / "model" for dataset in study.datasets):
        if model.is_dir():
            typer.echo(f"Classifier: {model}/   Try it:\n  echo 'A text to label' | {program()} predict {model}")
            typer.echo(f"  {program()} predict {model} TEXTS.csv -o labels.csv")


def program() -> str:
    """Return how the user's shell finds this command: its name if it is on the PATH, else its path."""
    path = Path(sys.argv[0])
    if path.name != NAME or shutil.which(NAME) is not None:
        return NAME
    return os.path.relpath(path)
