"""Status report of a study: finished jobs, and the jobs that a run would execute, with reasons."""

from collections.abc import Sequence
from pathlib import Path

import typer

from gendist.config import Study
from gendist.config.file_checks import require_files
from gendist.launcher.data_checks import require_data
from gendist.launcher.events import FOLLOWS
from gendist.launcher.run_locks import is_locked, processes_here
from gendist.launcher.snakemake_process import plan_study
from gendist.launcher.study_state import STAGE_TITLES, Job, StudyState, stage_position
from gendist.launcher.time_left import format_duration


def show_status(config: Path, study: Study, arguments: Sequence[str] = (), *, name: str | None = None) -> None:
    """Print the finished jobs per stage, and the jobs that a run would execute, with reasons.

    Args:
        config: the config.
        study: the loaded config.
        arguments: arguments of Snakemake.
        name: what stands after ``gendist run`` in the report; the config by default.

    Raises:
        GendistError: if a file or column that the study names is missing, or planning fails.
    """
    require_files(study)
    require_data(study)
    state = plan_study(config, arguments)
    for line in status_lines(name or str(config), study, state):
        typer.echo(line)
    if is_locked() and (ids := processes_here()):
        typer.echo(f"\nA run is active in this folder (process {', '.join(map(str, ids))}).")


def status_lines(config: str, study: Study, state: StudyState) -> list[str]:
    """Return the lines of the report."""
    todo, total = state.todo(), len(state.jobs)
    lines = [f"{config}: {state.done} of {total} jobs done, results in {study.results}/", ""]
    stages = state.stages()
    width = max(map(len, stages))
    lines += [f"  {name:{width}}  {stage.done:>4} of {stage.total}" for name, stage in stages.items()]
    if not todo:
        return [*lines, "", "Everything is up to date."]
    duration = format_duration(state.left().seconds)
    lines += ["", f"gendist run {config} would run {_count_jobs(len(todo))} (about {duration} on one core):"]
    return [*lines, "", *(f"  {line}" for line in reason_lines(todo))]


def reason_lines(jobs: Sequence[Job]) -> list[str]:
    """Return one line per stage and reason; jobs that only follow from others come last."""
    groups: dict[tuple[str, tuple[str, ...]], list[Job]] = {}
    for job in sorted(jobs, key=lambda job: stage_position(job.stage)):
        groups.setdefault((job.stage, tuple(job.reasons) or ("unknown reason",)), []).append(job)
    following = [group for (_, reasons), group in groups.items() if reasons == (FOLLOWS,)]
    lines = [f"{_describe(group)}: {'; '.join(key[1])}" for key, group in groups.items() if key[1] != (FOLLOWS,)]
    if following:
        lines.append(f"{', '.join(map(_describe, following))}: {FOLLOWS}")
    return lines


def _describe(group: Sequence[Job]) -> str:
    stage = STAGE_TITLES.get(group[0].stage, group[0].stage)
    return f"{len(group)} {stage} jobs" if len(group) > 1 else f"1 {stage} job ({group[0].name})"


def _count_jobs(count: int) -> str:
    return f"{count} job{'s' if count > 1 else ''}"
