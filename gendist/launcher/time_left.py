"""Estimates the time left of a run from typical job durations, corrected by the measured ones.

A running job contributes its own estimate, if it logs one. The remaining jobs are simulated on the available cores with
their dependencies, because the longest chain of jobs, not the total work, can determine the duration.
"""

import heapq
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

TRIVIAL = 5.0
"""Typical seconds up to which a job is mostly start-up time and does not affect the common pace."""
PRIOR = 30.0
"""Weight, in typical seconds, of the prior pace 1, so that a single job does not determine the pace."""
OVERDUE = 1.25
"""A job that has run longer than expected is expected to take this factor times its elapsed time."""
UNKNOWN, KNOWN = math.log(2.0), math.log(1.12)
"""Standard deviation (of log seconds) for a rule without finished jobs, and for a fully known one."""
MACHINE, MACHINE_HALF_LIFE = math.log(1.4), 1200.0
"""Standard deviation (of log seconds) of the machine's speed before any job has run, and the seconds of work that halve
it."""
SINGLE = math.log(1.25)
"""Standard deviation up to which one number is displayed instead of a range."""


@dataclass(frozen=True)
class Task:
    """A job to run."""

    id: int
    rule: str
    seconds: float
    """Typical duration; only ratios between jobs matter once jobs have run."""
    needs: tuple[int, ...] = ()
    """Ids of the jobs that it depends on."""
    priority: int = 0
    gpu: bool = False
    """Whether it uses a GPU."""


@dataclass(frozen=True)
class TimeLeft:
    """An estimate of the time left, in seconds."""

    seconds: float
    low: float
    high: float

    def __str__(self) -> str:
        """Format as one duration, or as a range if uncertain."""
        low, high = _rounded(self.low), _rounded(self.high)
        if self.high <= self.low * math.exp(2 * SINGLE) or low == high:
            return f"about {format_duration(self.seconds)}"
        return f"{format_duration(low, unit=_unit(low) != _unit(high))} to {format_duration(high)}"


@dataclass
class TimeEstimate:
    """Measured and expected durations of the jobs of a run."""

    cores: int = 1
    """Number of parallel jobs."""
    gpus: int = 0
    now: Callable[[], float] = time.monotonic
    tasks: dict[int, Task] = field(default_factory=dict)
    """Jobs of the plan, by id."""
    started: dict[int, float] = field(default_factory=dict)
    """Start times of the running jobs."""
    taken: dict[int, float] = field(default_factory=dict)
    """Durations of the finished jobs."""
    failed: set[int] = field(default_factory=set)
    """Failed jobs that were not started again."""
    began: float = 0.0

    def __post_init__(self) -> None:
        self.began = self.now()

    def plan(self, tasks: Iterable[Task], cores: int, gpus: int = 0) -> None:
        """Set the jobs to run, and the number of cores and GPUs."""
        self.tasks = {task.id: task for task in tasks}
        self.cores, self.gpus = max(1, cores), gpus

    def start(self, jobs: Iterable[int]) -> None:
        """Record the start of jobs."""
        known = {job for job in jobs if job in self.tasks}
        self.failed -= known
        self.started.update((job, self.now()) for job in known)

    def finish(self, job: int) -> None:
        """Record a finished job."""
        if job in self.started:
            self.taken[job] = self.now() - self.started.pop(job)

    def fail(self, job: int) -> None:
        """Record a failed job, which may be retried."""
        self.started.pop(job, None)
        self.failed.add(job)

    def left(self, reported: Mapping[int, float] | None = None) -> TimeLeft:
        """Estimate the time left.

        Args:
            reported: seconds left of running jobs by their own estimates.
        """
        reported = reported or {}
        now = self.now()
        paces = self._paces(reported, now)
        remaining: dict[int, float] = {}
        reported_seconds = 0.0
        deviations: dict[str, float] = defaultdict(float)
        blocked = self._blocked()
        for task in self.tasks.values():
            if task.id in self.taken or task.id in blocked:
                continue
            expected = task.seconds * paces[task.rule][0]
            if task.id in self.started:
                elapsed = now - self.started[task.id]
                rest = reported.get(task.id, max(expected - elapsed, (OVERDUE - 1) * elapsed))
            else:
                rest = expected
            remaining[task.id] = rest
            if task.id in reported:
                reported_seconds += rest
            else:
                deviations[task.rule] += rest * paces[task.rule][1]
        # Errors are correlated within a rule, independent between rules, and shared through the machine's speed.
        spent = sum(self.taken.values()) + sum(now - began for began in self.started.values())
        work = max(sum(remaining.values()), 1e-9)
        machine = MACHINE / (1 + spent / MACHINE_HALF_LIFE) * (1 - reported_seconds / work)
        spread = math.exp(KNOWN + math.hypot(*deviations.values()) / work + machine)
        seconds = self._schedule(remaining)
        return TimeLeft(seconds, seconds / spread, seconds * spread)

    def _blocked(self) -> set[int]:
        """Return the failed jobs and those that need their output."""
        blocked = set(self.failed)
        found = bool(blocked)
        while found:
            new = {task.id for task in self.tasks.values() if task.id not in blocked and blocked & set(task.needs)}
            blocked |= new
            found = bool(new)
        return blocked

    def _paces(self, reported: Mapping[int, float], now: float) -> dict[str, tuple[float, float]]:
        """Return by rule the pace (measured over typical duration) and its standard deviation (of log seconds)."""
        spent: dict[str, float] = defaultdict(float)
        typical: dict[str, float] = defaultdict(float)
        jobs: dict[str, float] = defaultdict(float)
        for job, seconds in self.taken.items():
            task = self.tasks[job]
            spent[task.rule] += seconds
            typical[task.rule] += task.seconds
            jobs[task.rule] += 1
        for job in self.started.keys() & reported.keys():
            task, elapsed = self.tasks[job], now - self.started[job]
            share = elapsed / max(elapsed + reported[job], 1e-9)  # finished share of this job
            spent[task.rule] += elapsed
            typical[task.rule] += task.seconds * share
            jobs[task.rule] += share
        pace = self._common_pace(spent, typical)
        found = self._rule_paces(spent, typical, jobs, pace)
        for job in self.started.keys() - reported.keys():
            task, elapsed = self.tasks[job], now - self.started[job]
            if elapsed > task.seconds * found[task.rule][0]:  # overdue: evidence of a slower pace
                spent[task.rule] += OVERDUE * elapsed
                typical[task.rule] += task.seconds
                jobs[task.rule] += 0.5
        return self._rule_paces(spent, typical, jobs, self._common_pace(spent, typical))

    def _common_pace(self, spent: Mapping[str, float], typical: Mapping[str, float]) -> float:
        sizes: dict[str, float] = {}
        for task in self.tasks.values():
            sizes[task.rule] = max(task.seconds, sizes.get(task.rule, 0.0))
        informative = [rule for rule in spent if sizes[rule] > TRIVIAL]
        return (PRIOR + sum(spent[rule] for rule in informative)) / (PRIOR + sum(typical[rule] for rule in informative))

    def _rule_paces(
        self, spent: Mapping[str, float], typical: Mapping[str, float], jobs: Mapping[str, float], pace: float
    ) -> dict[str, tuple[float, float]]:
        longest: dict[str, float] = {}
        for task in self.tasks.values():
            longest[task.rule] = max(task.seconds, longest.get(task.rule, 0.0))
        found = {}
        for rule, seconds in longest.items():
            prior = seconds / 4  # a quarter of a job at the common pace
            rule_pace = (prior * pace + spent.get(rule, 0.0)) / max(prior + typical.get(rule, 0.0), 1e-9)
            found[rule] = rule_pace, UNKNOWN / (1 + 4 * jobs.get(rule, 0.0))
        return found

    def _schedule(self, remaining: Mapping[int, float]) -> float:
        """Simulate the run: each free core starts the ready job with the highest priority; return the end of the last
        job.
        """
        blockers = {job: sum(need in remaining for need in self.tasks[job].needs) for job in remaining}
        dependents: dict[int, list[int]] = defaultdict(list)
        for job in remaining:
            for need in self.tasks[job].needs:
                if need in remaining:
                    dependents[need].append(job)
        running = [(remaining[job], job) for job in self.started if job in remaining]
        heapq.heapify(running)
        cores = max(self.cores, len(running)) - len(running)
        gpus = self.gpus - sum(self._on_gpu(job) for _, job in running)
        ready: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])  # CPU jobs, GPU jobs
        for job, count in blockers.items():
            if not count and job not in self.started:
                heapq.heappush(ready[self._on_gpu(job)], (-self.tasks[job].priority, job))
        clock = 0.0
        while running or any(ready):
            while cores and (queues := [q for q, free in ((ready[0], 1), (ready[1], gpus)) if q and free > 0]):
                _, job = heapq.heappop(min(queues, key=lambda queue: queue[0]))
                cores, gpus = cores - 1, gpus - self._on_gpu(job)
                heapq.heappush(running, (clock + remaining[job], job))
            if not running:  # the remaining jobs need a GPU that this machine lacks
                break
            clock, job = heapq.heappop(running)
            cores, gpus = cores + 1, gpus + self._on_gpu(job)
            for dependent in dependents[job]:
                blockers[dependent] -= 1
                if not blockers[dependent] and dependent not in self.started:
                    heapq.heappush(ready[self._on_gpu(dependent)], (-self.tasks[dependent].priority, dependent))
        return clock

    def _on_gpu(self, job: int) -> bool:
        return self.gpus > 0 and self.tasks[job].gpu


def format_duration(seconds: float, unit: bool = True) -> str:
    """Format a duration: ``20 s``, ``12 min``, ``1 h 30 min``; without ``unit``, omit the last unit."""
    seconds = _rounded(seconds)
    if seconds < 60:
        return f"{seconds}" + " s" * unit
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes}" + " min" * unit
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest else f"{hours}" + " h" * unit


def _unit(seconds: int) -> str:
    return "s" if seconds < 60 else "min" if seconds < 3600 else "h min" if seconds % 3600 else "h"


def _rounded(seconds: float) -> int:
    """Round to the precision of an estimate: 10 s, minutes, 5 min, 10 min, hours."""
    step = 10 if seconds < 55 else 60 if seconds < 20 * 60 else 300 if seconds < 90 * 60 else 600
    if seconds >= 10 * 3600:
        step = 3600
    return max(10, round(seconds / step) * step)
