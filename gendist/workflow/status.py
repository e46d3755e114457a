"""What a study has and what it would run, in plain words."""

from collections.abc import Sequence
from pathlib import Path

import typer

from gendist.config import Study
from gendist.config.data import require_data
from gendist.config.files import require_files
from gendist.eta import in_words
from gendist.workflow.events import FOLLOWS
from gendist.workflow.locks import locked, running_here
from gendist.workflow.process import planned
from gendist.workflow.state import HEADING, Job, State, place_of


def show_status(config: Path, study: Study, arguments: Sequence[str] = ()) -> None:
    """Print what is done per stage, and what would run and why.

    Raises:
        GendistError: if a file or a column that the study names is missing, or the study cannot be planned.
    """
    require_files(study)
    require_data(study)
    state = planned(config, arguments)
    for line in status_lines(config, study, state):
        typer.echo(line)
    if locked() and (ids := running_here()):
        typer.echo(f"\nA run is under way in this folder (process {', '.join(map(str, ids))}).")


def status_lines(config: Path, study: Study, state: State) -> list[str]:
    """Return the lines of the report."""
    todo, total = state.todo(), len(state.jobs)
    lines = [f"{config}: {state.done} of {total} jobs done, results in {study.results}/", ""]
    stages = state.stages()
    width = max(map(len, stages))
    lines += [f"  {name:{width}}  {stage.done:>4} of {stage.total}" for name, stage in stages.items()]
    if not todo:
        return [*lines, "", "Everything is up to date."]
    lines += ["", f"gendist run {config} would run {_jobs(len(todo))} (a rough guess: {_guess(state)} with one core):"]
    return [*lines, "", *(f"  {line}" for line in reason_lines(todo))]


def reason_lines(jobs: Sequence[Job]) -> list[str]:
    """Group jobs by stage and reason, one line each; what only follows from others stands last."""
    groups: dict[tuple[str, tuple[str, ...]], list[Job]] = {}
    for job in sorted(jobs, key=lambda job: place_of(job.stage)):
        groups.setdefault((job.stage, tuple(job.reasons) or ("unknown reason",)), []).append(job)
    following = [group for (_, reasons), group in groups.items() if reasons == (FOLLOWS,)]
    lines = [f"{_what(group)}: {'; '.join(key[1])}" for key, group in groups.items() if key[1] != (FOLLOWS,)]
    if following:
        lines.append(f"{', '.join(map(_what, following))}: {FOLLOWS}")
    return lines


def _what(group: Sequence[Job]) -> str:
    stage = HEADING.get(group[0].stage, group[0].stage)
    return f"{len(group)} {stage} jobs" if len(group) > 1 else f"1 {stage} job ({group[0].name})"


def _jobs(count: int) -> str:
    return f"{count} job{'s' if count > 1 else ''}"


def _guess(state: State) -> str:
    return in_words(state.left().seconds)
