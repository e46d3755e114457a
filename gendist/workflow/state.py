"""A study's jobs as a follower of its events knows them."""

import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gendist.eta import Estimate, Left, Task
from gendist.progress import clock
from gendist.typical import KINDS

HEADING = {"pocket": "embedded models", "Snakefile": ""}
"""Stages whose name in print differs from that of their file of rules; the target rule has none."""
PROGRESS = re.compile(r"[^:]+: (?P<done>[\d,]+) of (?P<total>[\d,]+) .*, (?P<left>\S+) left.*")
TELLING = 0.05
"""Share of its work from which on a job's rate counts: of rows made side by side, the first take as long as many."""
ERROR = re.compile(r"(?:error: |unexpected )(.*)")
STAMP = re.compile(r"^\d{4}-\d\d-\d\d [\d:,]+ ")
TAIL = 4096
"""Bytes of a log in which its latest line of progress is looked for."""


@dataclass(frozen=True)
class Job:
    """One job of the study's plan."""

    id: int
    rule: str
    stage: str
    output: list[str]
    log: list[str]
    needed: bool
    reasons: list[str]
    needs: list[int] = field(default_factory=list)
    """Jobs whose files it reads."""
    seconds: float = 0.0
    """What it typically takes."""
    priority: int = 0
    gpu: bool = False
    """Whether it may occupy a GPU."""

    @property
    def task(self) -> Task:
        """The job as the estimate of the time left takes it."""
        kind = KINDS.get(self.rule, self.rule)
        return Task(self.id, kind, self.seconds, tuple(self.needs), self.priority, self.gpu)

    @property
    def name(self) -> str:
        """What the job makes, by the place of its log; short, and the same as its folder in the results."""
        if not self.log:
            return self.rule
        return Path(self.log[0]).with_suffix("").as_posix().partition("/logs/")[2] or self.rule


@dataclass
class Stage:
    """Numbers of jobs of one stage."""

    total: int = 0
    done: int = 0
    running: int = 0
    failed: int = 0


@dataclass
class State:
    """Jobs planned, running, finished and failed."""

    jobs: dict[int, Job] = field(default_factory=dict)
    running: set[int] = field(default_factory=set)
    finished: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    estimate: Estimate = field(default_factory=Estimate)
    since: float = field(default_factory=time.time)
    """When the run began: what stands in older logs is no progress of its jobs."""

    stopping: bool = False
    """Whether the run was interrupted, and its jobs save their work."""

    @property
    def planned(self) -> bool:
        """Whether the plan has arrived."""
        return bool(self.jobs)

    def take(self, event: dict[str, Any]) -> None:
        """Bring the state up to date with one event."""
        if event["event"] == "plan":
            self._plan((Job(**job) for job in event["jobs"]), event["cores"], event["gpus"])
        elif event["event"] == "started":
            known = [job for job in event["jobs"] if job in self.jobs]
            self.running |= set(known)
            self.failed -= set(known)  # a job may be tried again
            self.estimate.start(known)
        elif event["event"] == "finished" and event["job"] in self.jobs:
            self.running.discard(event["job"])
            self.finished.add(event["job"])
            self.estimate.finish(event["job"])
        elif event["event"] == "failed" and event["job"] in self.jobs:
            self.running.discard(event["job"])
            if not self.stopping:  # it ended with the run
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
        """Jobs whose output is there and up to date, those that an earlier run made included."""
        return sum(map(self.is_done, self.jobs.values()))

    def left(self) -> Left:
        """Estimate the time left; jobs in progress count by the rates in their logs."""
        rates = {i: seconds for i in self.running if (seconds := seconds_left(self.jobs[i], self.since)) is not None}
        return self.estimate.left(rates)

    def summary(self) -> str:
        """Return jobs done, time so far and time left in one line."""
        so_far = clock(self.estimate.now() - self.estimate.began)
        failed = f", {len(self.failed)} failed" if self.failed else ""
        left = f", {self.left()} left" if self.done < len(self.jobs) else ""
        if self.stopping:
            left = "; stopping once running jobs have saved their work (a third Ctrl-C ends them at once)"
        return f"{self.done} of {len(self.jobs)} jobs done{failed}, {so_far} so far{left}"

    def todo(self) -> list[Job]:
        """Return the jobs that had to run when the study was planned."""
        return [job for job in self.jobs.values() if job.needed]

    def is_done(self, job: Job) -> bool:
        """Say whether what a job makes is there and up to date."""
        return not job.needed or job.id in self.finished

    def stages(self) -> dict[str, Stage]:
        """Count the jobs of every stage, in the order that data flows."""
        counted: dict[str, Stage] = {}
        for job in sorted(self.jobs.values(), key=lambda job: place_of(job.stage)):
            stage = counted.setdefault(HEADING.get(job.stage, job.stage), Stage())
            stage.total += 1
            stage.done += self.is_done(job)
            stage.running += job.id in self.running
            stage.failed += job.id in self.failed
        return counted


ORDER = (
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


def place_of(stage: str) -> int:
    """Return where a stage stands in the flow of data; unknown ones stand before the report."""
    return ORDER.index(stage) if stage in ORDER else len(ORDER) - 2


class Events:
    """Reads an events file as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0
        self._rest = b""

    def new(self) -> list[dict[str, Any]]:
        """Return the events since the last call; a line that is still being written waits."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as stream:
            stream.seek(self._read)
            content = stream.read()
        self._read += len(content)
        *lines, self._rest = (self._rest + content).split(b"\n")
        return [json.loads(line) for line in lines]


def progress_of(job: Job, since: float) -> str:
    """Return the latest line of progress in a job's log written after ``since``; empty if it has none yet."""
    if not (job.log and Path(job.log[0]).exists() and Path(job.log[0]).stat().st_mtime >= since):
        return ""
    found = [match for line in _tail(job) if (match := PROGRESS.fullmatch(line))]
    return found[-1][0] if found else ""


def seconds_left(job: Job, since: float) -> float | None:
    """Return the seconds that a running job still needs by its latest line of progress; None if that says little."""
    match = PROGRESS.fullmatch(progress_of(job, since))
    if match is None or "?" in match["left"]:
        return None
    done, total = (int(match[name].replace(",", "")) for name in ("done", "total"))
    if done < TELLING * total:
        return None
    left = 0
    for part in match["left"].split(":"):
        left = left * 60 + int(part)
    age = max(0.0, time.time() - Path(job.log[0]).stat().st_mtime)
    return max(left - age, 0.1 * left)


def error_of(job: Job) -> str:
    """Return a failed job's error in one line."""
    lines = _tail(job)
    found = [match[1] for line in lines if (match := ERROR.match(line))]
    return found[-1] if found else (lines or ["it was killed, or left no message"])[-1]


def _tail(job: Job) -> list[str]:
    try:
        with Path(job.log[0]).open("rb") as stream:
            stream.seek(max(0, stream.seek(0, 2) - TAIL))
            text = stream.read().decode("utf-8", "replace")
    except (OSError, IndexError):
        return []
    return [STAMP.sub("", line).strip() for line in text.splitlines() if line.strip()]
