"""Runs a study, from taking the lock to printing the results."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console

from gendist.config import Study
from gendist.config.file_checks import require_files
from gendist.config.study_plan import too_many_shards
from gendist.errors import GendistError
from gendist.io.os_errors import disk_full_error, is_disk_full
from gendist.jobs.visible_gpus import visible_gpus
from gendist.launcher.data_checks import require_data
from gendist.launcher.progress_display import MAX_FAILURES_SHOWN, progress_display
from gendist.launcher.run_locks import in_use_error, is_in_use, remove_stale_locks
from gendist.launcher.snakemake_command import limit_resources
from gendist.launcher.snakemake_process import run_snakemake, startup_error
from gendist.launcher.study_state import StudyState, failure_line
from gendist.launcher.temporary_files import remove_stale_files
from gendist.naming import EXPORTED_MODEL

NAME = "gendist"


def run_study(config: Path, study: Study, arguments: Sequence[str]) -> int:
    """Run a study in the working directory and print the location of its results.

    Args:
        config: its config.
        study: the loaded config.
        arguments: arguments of Snakemake.

    Returns:
        The exit status, see ``run_jobs``.

    Raises:
        GendistError: if the run cannot start.
    """
    status = run_jobs(config, study, arguments)
    if status == 0:
        print_results(study)
    return status


def run_jobs(config: Path, study: Study, arguments: Sequence[str]) -> int:
    """Run the missing and outdated jobs of a study in the working directory, and display progress.

    Args:
        config: its config.
        study: the loaded config.
        arguments: arguments of Snakemake; files after ``--`` are the targets, instead of the whole study.

    Returns:
        The exit status: 0, 1 if a job failed, 130 if the user interrupted the run.

    Raises:
        GendistError: if a file or column of the study is missing, the run cannot start, or Snakemake was killed.
    """
    require_files(study)  # before anything is written
    require_data(study)
    output = Path(study.results) / "logs" / "run.log"
    if is_in_use(study.results):  # before truncating its run.log
        raise in_use_error()
    if remove_stale_locks():
        typer.echo("Removed the lock of a killed run.")
    remove_stale_files()
    if advice := too_many_shards(study):
        typer.echo(f"note: {advice}", err=True)
    arguments = limit_resources(arguments, 0 if study.device == "cpu" else len(visible_gpus()))
    with progress_display(Console()) as on_update:
        # Log everything but the host name: the profile's quiet setting is meant for terminals.
        state, status, interrupted = run_snakemake(config, ["--quiet", "host", *arguments], output, on_update=on_update)
    if interrupted and status:
        _list_failures(state, output)
        typer.echo(f"Interrupted: {_count_kept(state)}. Rerun the same command to resume.")
        return 130
    if status < 0:
        raise GendistError(
            f"Snakemake was killed (signal {-status}; out of memory?); {_count_kept(state)}. Rerun the same command to "
            "resume"
        )
    if status and is_disk_full(output.parent):  # a full disk can also truncate the logs
        raise disk_full_error(output.parent.parent)
    if status and not state.failed:
        raise startup_error(output, state.planned)
    if state.failed:
        _print_failures(state, output)
        return 1
    typer.echo(state.summary() if state.todo() else "Everything was up to date.")
    return 0


def _count_kept(state: StudyState) -> str:
    """Count the jobs that need no rerun; jobs that were interrupted with the run are not failures."""
    return f"{state.done} of {len(state.jobs)} jobs kept"


def _list_failures(state: StudyState, output: Path) -> None:
    failed = [state.jobs[i] for i in sorted(state.failed)]
    for job in failed[:MAX_FAILURES_SHOWN]:
        typer.echo(f"{failure_line(job)}\n  log: {', '.join(job.log) or output}", err=True)
    if len(failed) > MAX_FAILURES_SHOWN:
        typer.echo(f"and {len(failed) - MAX_FAILURES_SHOWN} more", err=True)


def _print_failures(state: StudyState, output: Path) -> None:
    _list_failures(state, output)
    typer.echo(f"{len(state.failed)} failed, {_count_kept(state)}. Full output: {output}", err=True)
    typer.echo("Fix the problem and rerun the same command to resume.", err=True)


def print_results(study: Study) -> None:
    """Print Table 1 and the locations of the results."""
    results = Path(study.results)
    table1 = results / "tables" / "table1.md"
    if table1.exists():
        typer.echo("\n" + table1.read_text(encoding="utf-8").strip() + "\n")
    locations = [("Tables", results / "tables"), ("Figures", results / "figures"), ("Report", results / "report.html")]
    typer.echo("   ".join(f"{name}: {path}{'/' if path.is_dir() else ''}" for name, path in locations if path.exists()))
    print_classifiers(study)


def print_classifiers(study: Study) -> None:
    """Print the folder of each exported classifier, and commands that use it."""
    for model in (Path(study.results) / dataset / EXPORTED_MODEL for dataset in study.datasets):
        if model.is_dir():
            typer.echo(f"Classifier: {model}/   Try it:\n  echo 'A text to label' | {command_name()} predict {model}")
            typer.echo(f"  {command_name()} predict {model} TEXTS.csv -o labels.csv")


def command_name() -> str:
    """Return this command as the user can type it: its name if it is on the PATH, else its path."""
    path = Path(sys.argv[0])
    if path.name != NAME or shutil.which(NAME) is not None:
        return NAME
    return os.path.relpath(path)
