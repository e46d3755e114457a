"""A run of a study from the first lock to the last table."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console

from gendist.config import Study
from gendist.workflow.checkout import command
from gendist.workflow.display import shown, summary
from gendist.workflow.locks import busy, in_use, remove_stale
from gendist.workflow.process import follow, why_nothing_ran
from gendist.workflow.state import State, error_of

FAILURES = 5
"""Failed jobs that are shown one by one."""


def run_study(config: Path, study: Study, arguments: Sequence[str], report: bool) -> int:
    """Run a study in the working directory and say where its results are.

    Args:
        config: its config.
        study: the same, read.
        arguments: for Snakemake.
        report: whether to write ``report.html`` when tables or figures are newer.

    Returns:
        The exit status: 0, 1 if a job failed, 130 if the user interrupted it.

    Raises:
        GendistError: if nothing could be started.
    """
    results = Path(study.results)
    output = results / "logs" / "run.log"
    if in_use(study.results):  # before its run.log is written over
        raise busy()
    if remove_stale(config):
        typer.echo("Removed the lock of a run that was killed.")
    with shown(Console()) as show:
        # Everything but the host's name goes to the file; the profile's quietness is meant for terminals.
        state, status, interrupted = follow(config, ["--quiet", "host", *arguments], output, show)
    if interrupted and status:
        typer.echo(f"Interrupted: {summary(state)}. Finished jobs are kept; to go on: gendist run {config}")
        return 130
    if status and not state.failed:
        raise why_nothing_ran(output)
    if state.failed:
        _tell_failures(state, config, output)
        return 1
    typer.echo(summary(state) if state.todo() else "Everything was up to date.")
    if report:
        write_report(config, results)
    tell_results(results)
    return 0


def _tell_failures(state: State, config: Path, output: Path) -> None:
    failed = [state.jobs[i] for i in sorted(state.failed)]
    for job in failed[:FAILURES]:
        typer.echo(f"failed: {job.name}: {error_of(job)}\n  log: {', '.join(job.log) or output}", err=True)
    if len(failed) > FAILURES:
        typer.echo(f"and {len(failed) - FAILURES} more", err=True)
    typer.echo(f"{summary(state)}. Everything that was printed: {output}", err=True)
    typer.echo(f"Finished jobs are kept; to go on after mending it: gendist run {config}", err=True)


def write_report(config: Path, results: Path) -> None:
    """Write ``report.html``, unless it is newer than what it shows."""
    target = results / "report.html"
    made = [results / "metrics.parquet", *results.glob("tables/*"), *results.glob("figures/*")]
    if target.exists() and all(file.stat().st_mtime <= target.stat().st_mtime for file in made if file.exists()):
        return
    typer.echo("Writing the report")
    done = subprocess.run(
        command(config, "--report", str(target)), capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        said = (done.stderr.strip() or "no message").splitlines()[-1]
        typer.echo(f"The report could not be written ({said}); the results are complete without it.", err=True)


def tell_results(results: Path) -> None:
    """Print Table 1 and where everything is."""
    table1 = results / "tables" / "table1.md"
    if table1.exists():
        typer.echo("\n" + table1.read_text(encoding="utf-8").strip() + "\n")
    places = [("Tables", results / "tables"), ("Figures", results / "figures"), ("Report", results / "report.html")]
    typer.echo("   ".join(f"{name}: {path}{'/' if path.is_dir() else ''}" for name, path in places if path.exists()))
