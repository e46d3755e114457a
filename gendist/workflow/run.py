"""A run of a study from the first lock to the last table."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console

from gendist.config import Study
from gendist.config.data import require_data
from gendist.config.files import require_files
from gendist.config.plan import too_many_shards
from gendist.errors import GendistError
from gendist.storage import full, is_full
from gendist.workflow.display import shown
from gendist.workflow.locks import busy, in_use, remove_stale
from gendist.workflow.process import follow, why_nothing_ran
from gendist.workflow.scratch import remove_leftovers
from gendist.workflow.state import State, error_of

NAME = "gendist"
FAILURES = 5
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
        tell_results(study)
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
        GendistError: if a file or a column that the study names is missing, or nothing could be started.
    """
    require_files(study)  # before anything is written
    require_data(study)
    output = Path(study.results) / "logs" / "run.log"
    if in_use(study.results):  # before its run.log is written over
        raise busy()
    if remove_stale():
        typer.echo("Removed the lock of a run that was killed.")
    remove_leftovers()
    if advice := too_many_shards(study):
        typer.echo(f"note: {advice}", err=True)
    with shown(Console()) as show:
        # Everything but the host's name goes to the file; the profile's quietness is meant for terminals.
        state, status, interrupted = follow(config, ["--quiet", "host", *arguments], output, show)
    if interrupted and status:
        typer.echo(f"Interrupted: {_kept(state)}. Run the same command again to resume.")
        return 130
    if status < 0:
        raise GendistError(
            f"Snakemake was killed (signal {-status}; out of memory?); {_kept(state)}. Run the same command again to "
            "resume"
        )
    if status and is_full(output.parent):  # the logs, too, may lack the reason
        raise full(output.parent.parent)
    if status and not state.failed:
        raise why_nothing_ran(output, state.planned)
    if state.failed:
        _tell_failures(state, output)
        return 1
    typer.echo(state.summary() if state.todo() else "Everything was up to date.")
    return 0


def _kept(state: State) -> str:
    """Say how many jobs need not run again; jobs that ended with the run did not fail."""
    return f"{state.done} of {len(state.jobs)} jobs kept"


def _tell_failures(state: State, output: Path) -> None:
    failed = [state.jobs[i] for i in sorted(state.failed)]
    for job in failed[:FAILURES]:
        typer.echo(f"failed: {job.name}: {error_of(job)}\n  log: {', '.join(job.log) or output}", err=True)
    if len(failed) > FAILURES:
        typer.echo(f"and {len(failed) - FAILURES} more", err=True)
    typer.echo(f"{len(state.failed)} failed, {_kept(state)}. Everything that was printed: {output}", err=True)
    typer.echo("Fix the problem and run the same command again to resume.", err=True)


def tell_results(study: Study) -> None:
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
