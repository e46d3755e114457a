"""State of a study's jobs, built from the events of a run."""

import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gendist.jobs.progress_log import format_clock
from gendist.launcher.time_left import Task, TimeEstimate, TimeLeft
from gendist.launcher.typical_times import KINDS

STAGES = (
    "config",
    "pocket",
    "texts",
    "generator",
    "synthetic",
    "teacher",
    "logits",
    "students",
    "baselines",
    "evaluation",
    "report",
)
"""Stages in the order of the data flow."""
STAGE_TITLES = {"pocket": "embedded models", "Snakefile": ""}
"""Displayed names of stages, where they differ from the name of the rules file; the target rule has none."""
PROGRESS_LINE = re.compile(r"[^:]+: (?P<done>[\d,]+) of (?P<total>[\d,]+) .*, (?P<left>\S+) left.*")
MIN_SHARE = 0.05
"""Finished share of a job from which its own rate counts: the first rows of a batch take as long as many."""
ERROR_LINE = re.compile(r"(?:error: |unexpected )(.*)")
TIMESTAMP = re.compile(r"^\d{4}-\d\d-\d\d [\d:,]+ ")
TAIL_BYTES = 4096
"""Bytes at the end of a log in which to search for the latest progress line."""


@dataclass(frozen=True)
class Job:
    """A job of the study's plan."""

    id: int
    rule: str
    stage: str
    output: list[str]
    log: list[str]
    needed: bool
    reasons: list[str]
    needs: list[int] = field(default_factory=list)
    """Ids of the jobs whose outputs it reads."""
    seconds: float = 0.0
    """Typical duration."""
    priority: int = 0
    gpu: bool = False
    """Whether it can use a GPU."""

    @property
    def task(self) -> Task:
        """The job as input of the time estimate."""
        kind = KINDS.get(self.rule, self.rule)
        return Task(self.id, kind, self.seconds, tuple(self.needs), self.priority, self.gpu)

    @property
    def name(self) -> str:
        """Short name, from the path of the log; it matches the output's path in the results."""
        if not self.log:
            return self.rule
        return Path(self.log[0]).with_suffix("").as_posix().partition("/logs/")[2] or self.rule


@dataclass
class StageCounts:
    """Job counts of a stage."""

    total: int = 0
    done: int = 0
    running: int = 0
    failed: int = 0


@dataclass
class StudyState:
    """Planned, running, finished and failed jobs of a run."""

    jobs: dict[int, Job] = field(default_factory=dict)
    running: set[int] = field(default_factory=set)
    finished: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    estimate: TimeEstimate = field(default_factory=TimeEstimate)
    since: float = field(default_factory=time.time)
    """Start time of the run; logs last written before it belong to earlier runs."""

    stopping: bool = False
    """Whether the run was interrupted, and its jobs save their work."""

    @property
    def planned(self) -> bool:
        """Whether the plan is known."""
        return bool(self.jobs)

    def apply(self, event: dict[str, Any]) -> None:
        """Update the state with an event."""
        if event["event"] == "plan":
            self._plan((Job(**job) for job in event["jobs"]), event["cores"], event["gpus"])
        elif event["event"] == "started":
            known = [job for job in event["jobs"] if job in self.jobs]
            self.running |= set(known)
            self.failed -= set(known)  # a failed job can be retried
            self.estimate.start(known)
        elif event["event"] == "finished" and event["job"] in self.jobs:
            self.running.discard(event["job"])
            self.finished.add(event["job"])
            self.estimate.finish(event["job"])
        elif event["event"] == "failed" and event["job"] in self.jobs:
            self.running.discard(event["job"])
            if not self.stopping:  # else it ended with the run
                self.failed.add(event["job"])
            self.estimate.fail(event["job"])

    def _plan(self, jobs: Iterable[Job], cores: int, gpus: int) -> None:
        self.jobs = {job.id: job for job in jobs if job.output}
        self.estimate.plan(
            [job.task for job in self.todo()],
            cores,
            gpus,
        )

    @property
    def done(self) -> int:
        """Number of jobs with up-to-date output, including those of earlier runs."""
        return sum(map(self.is_done, self.jobs.values()))

    def left(self) -> TimeLeft:
        """Estimate the time left; running jobs contribute their own estimates from their logs."""
        reported = {i: seconds for i in self.running if (seconds := seconds_left(self.jobs[i], self.since)) is not None}
        return self.estimate.left(reported)

    def summary(self) -> str:
        """Return one line with the jobs done, the elapsed time and the time left."""
        so_far = format_clock(self.estimate.now() - self.estimate.began)
        failed = f", {len(self.failed)} failed" if self.failed else ""
        left = f", {self.left()} left" if self.done < len(self.jobs) else ""
        if self.stopping:
            left = "; stopping once running jobs have saved their work (a third Ctrl-C ends them at once)"
        return f"{self.done} of {len(self.jobs)} jobs done{failed}, {so_far} so far{left}"

    def todo(self) -> list[Job]:
        """Return the jobs that the plan has to run."""
        return [job for job in self.jobs.values() if job.needed]

    def is_done(self, job: Job) -> bool:
        """Whether a job's output is up to date."""
        return not job.needed or job.id in self.finished

    def stages(self) -> dict[str, StageCounts]:
        """Count the jobs of every stage, in the order of the data flow."""
        counted: dict[str, StageCounts] = {}
        for job in sorted(self.jobs.values(), key=lambda job: stage_position(job.stage)):
            stage = counted.setdefault(STAGE_TITLES.get(job.stage, job.stage), StageCounts())
            stage.total += 1
            stage.done += self.is_done(job)
            stage.running += job.id in self.running
            stage.failed += job.id in self.failed
        return counted


def stage_position(stage: str) -> int:
    """Return the position of a stage in the data flow; unknown stages come before the report."""
    return STAGES.index(stage) if stage in STAGES else len(STAGES) - 2


class EventReader:
    """Reads events from a growing file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0
        self._rest = b""

    def new(self) -> list[dict[str, Any]]:
        """Return the events since the last call, without an incomplete last line."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as stream:
            stream.seek(self._read)
            content = stream.read()
        self._read += len(content)
        *lines, self._rest = (self._rest + content).split(b"\n")
        return [json.loads(line) for line in lines]


def progress_line(job: Job, since: float) -> str:
    """Return the latest progress line in a job's log, or "" if there is none since ``since``."""
    if not (job.log and Path(job.log[0]).exists() and Path(job.log[0]).stat().st_mtime >= since):
        return ""
    found = [match for line in _log_tail(job) if (match := PROGRESS_LINE.fullmatch(line))]
    return found[-1][0] if found else ""


def seconds_left(job: Job, since: float) -> float | None:
    """Return a running job's own estimate of the seconds left, from its latest progress line, or None."""
    match = PROGRESS_LINE.fullmatch(progress_line(job, since))
    if match is None or "?" in match["left"]:
        return None
    done, total = (int(match[name].replace(",", "")) for name in ("done", "total"))
    if done < MIN_SHARE * total:
        return None
    left = 0
    for part in match["left"].split(":"):
        left = left * 60 + int(part)
    age = max(0.0, time.time() - Path(job.log[0]).stat().st_mtime)
    return max(left - age, 0.1 * left)


def error_line(job: Job) -> str:
    """Return the error of a failed job in one line."""
    lines = _log_tail(job)
    found = [match[1] for line in lines if (match := ERROR_LINE.match(line))]
    return found[-1] if found else (lines or ["killed, or no message in the log"])[-1]


def failure_line(job: Job) -> str:
    """Return the name and the error of a failed job in one line."""
    return f"failed: {job.name}: {error_line(job)}"


def _log_tail(job: Job) -> list[str]:
    try:
        with Path(job.log[0]).open("rb") as stream:
            stream.seek(max(0, stream.seek(0, 2) - TAIL_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except (OSError, IndexError):
        return []
    return [TIMESTAMP.sub("", line).strip() for line in text.splitlines() if line.strip()]
