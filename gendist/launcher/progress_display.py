"""Progress of a study: a live table in a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gendist.launcher.study_state import StageCounts, StudyState, failure_line, progress_line

MAX_JOBS_SHOWN = 6
"""Most running jobs in the live table."""
MAX_FAILURES_SHOWN = 5
"""Failed jobs to print one by one."""


@contextmanager
def progress_display(console: Console, every: float = 30.0) -> Iterator[Callable[[StudyState], None]]:
    """Yield a function that displays a state; without a terminal, it prints at most every ``every`` seconds."""
    if not console.is_terminal:
        yield LinePrinter(console, every).update
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        yield lambda state: live.update(render(state))


def render(state: StudyState) -> RenderableType:
    """Return a table of stages with progress bars, running jobs with rates, and the time left."""
    if not state.planned:
        return Text("Planning …")
    table = Table(box=None, padding=(0, 1), show_header=False)
    for name, stage in state.stages().items():
        bar = ProgressBar(total=stage.total, completed=stage.done, width=24)
        table.add_row(name, bar, f"{stage.done}/{stage.total}", _stage_note(stage))
    running = [Text(line, no_wrap=True, overflow="ellipsis") for line in _running(state)]
    failed = [
        Text(failure_line(state.jobs[i]), "red", no_wrap=True, overflow="ellipsis")
        for i in sorted(state.failed)[:MAX_FAILURES_SHOWN]
    ]
    return Group(table, *running, *failed, Text(state.summary()))


def _stage_note(stage: StageCounts) -> Text:
    if stage.failed:
        return Text(f"{stage.failed} failed", style="red")
    return Text(f"{stage.running} running" if stage.running else "done" if stage.done == stage.total else "")


def _running(state: StudyState) -> list[str]:
    lines = []
    for job in (state.jobs[i] for i in sorted(state.running)):
        progress = progress_line(job, state.since)
        lines.append(f"  {job.name}" + (f": {progress}" if progress else ""))
    hidden = len(lines) - MAX_JOBS_SHOWN
    return [*lines[:MAX_JOBS_SHOWN], *([f"  and {hidden} more"] if hidden > 0 else [])]


class LinePrinter:
    """Prints a line when a stage is complete or a job fails, and the state every ``every`` seconds."""

    def __init__(self, console: Console, every: float) -> None:
        self.console, self.every = console, every
        self.printed = time.monotonic()
        self.complete: set[str] = set()
        self.reported_failures: set[int] = set()
        self.began = self.said_stopping = False

    def update(self, state: StudyState) -> None:
        """Print what changed since the last call."""
        if not state.todo():
            return
        stages = state.stages()
        complete = {name for name, stage in stages.items() if stage.done == stage.total}
        if not self.began:
            self.began, self.complete = True, complete
            todo = {name: stage.total - stage.done for name, stage in stages.items() if stage.done < stage.total}
            before = f" of {len(state.jobs)}" if len(state.todo()) < len(state.jobs) else ""
            named = ", ".join(f"{n} {name}" for name, n in todo.items())
            self._print(f"{len(state.todo())}{before} jobs to run: {named}; {state.left()} left")
        for name in [name for name in stages if name in complete - self.complete]:
            self._print(f"{name} done ({stages[name].total} of {stages[name].total}); {state.summary()}")
        self.complete |= complete
        for job in sorted(state.failed - self.reported_failures):
            self._print(failure_line(state.jobs[job]))
        self.reported_failures |= state.failed
        if state.stopping and not self.said_stopping:
            self.said_stopping = True
            self._print(state.summary())
        if time.monotonic() - self.printed >= self.every:
            self._print("; ".join([state.summary(), *(line.strip() for line in _running(state))]))

    def _print(self, line: str) -> None:
        self.printed = time.monotonic()
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)
        sys.stdout.flush()
