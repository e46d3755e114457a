"""How long the rest of a study will take: known relative costs of its jobs, corrected by what jobs have taken so far.

A job in progress counts by its own rate. What remains is scheduled on the cores job by job, in the order that the
jobs need each other, because a study whose longest job runs alone takes as long as that job.
"""

import heapq
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

TRIVIAL = 5.0
"""Typical seconds up to which a job is mostly start-up, and has no say in the pace of others."""
PRIOR = 30.0
"""Typical seconds that the measured pace is set against at first, so that a single job does not decide it."""
OVERDUE = 1.25
"""A job that has run longer than expected, and reports no rate, is expected to take this times its time so far."""
UNKNOWN, KNOWN = math.log(2.0), math.log(1.12)
"""Uncertainty (in log seconds) of a kind of jobs of which none has run, and of the best known."""
MACHINE, SOON = math.log(1.4), 1200.0
"""Uncertainty of the speed of this machine before anything has run, and the seconds of work that halve it."""
SINGLE = math.log(1.25)
"""Uncertainty up to which one number stands for the range."""


@dataclass(frozen=True)
class Task:
    """A job that is to run."""

    id: int
    rule: str
    seconds: float
    """What it typically takes; only proportions matter once jobs have run."""
    needs: tuple[int, ...] = ()
    """Jobs that it waits for."""
    priority: int = 0
    gpu: bool = False
    """Whether it occupies a GPU."""


@dataclass(frozen=True)
class Left:
    """An estimate of the time left, in seconds."""

    seconds: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return it in words: one number, or a range while it is uncertain."""
        low, high = _rounded(self.low), _rounded(self.high)
        if self.high <= self.low * math.exp(2 * SINGLE) or low == high:
            return f"about {in_words(self.seconds)}"
        return f"{in_words(low, unit=_unit(low) != _unit(high))} to {in_words(high)}"


@dataclass
class Estimate:
    """What jobs of each rule have taken, and what those ahead will take."""

    cores: int = 1
    """Jobs side by side."""
    gpus: int = 0
    now: Callable[[], float] = time.monotonic
    tasks: dict[int, Task] = field(default_factory=dict)
    """Jobs that had to run at the start."""
    started: dict[int, float] = field(default_factory=dict)
    """When the running jobs began."""
    taken: dict[int, float] = field(default_factory=dict)
    """Seconds of the finished jobs."""
    began: float = 0.0

    def __post_init__(self) -> None:
        self.began = self.now()

    def plan(self, tasks: Iterable[Task], cores: int, gpus: int = 0) -> None:
        """Take the jobs that are to run, and how many at a time."""
        self.tasks = {task.id: task for task in tasks}
        self.cores, self.gpus = max(1, cores), gpus

    def start(self, jobs: Iterable[int]) -> None:
        """Take note of jobs that begin."""
        self.started.update((job, self.now()) for job in jobs if job in self.tasks)

    def finish(self, job: int) -> None:
        """Take note of a job that has ended well."""
        if job in self.started:
            self.taken[job] = self.now() - self.started.pop(job)

    def fail(self, job: int) -> None:
        """Take note of a job that has ended, and may be tried again."""
        self.started.pop(job, None)

    def left(self, rates: Mapping[int, float] | None = None) -> Left:
        """Estimate the time left.

        Args:
            rates: seconds that running jobs still need by their own count, where they report any.
        """
        rates = rates or {}
        now = self.now()
        paces = self._paces(rates, now)
        remaining: dict[int, float] = {}
        counted = 0.0  # by jobs themselves
        doubts: dict[str, float] = defaultdict(float)
        for task in self.tasks.values():
            if task.id in self.taken:
                continue
            expected = task.seconds * paces[task.rule][0]
            if task.id in self.started:
                elapsed = now - self.started[task.id]
                rest = rates.get(task.id, max(expected - elapsed, (OVERDUE - 1) * elapsed))
            else:
                rest = expected
            remaining[task.id] = rest
            if task.id in rates:
                counted += rest
            else:
                doubts[task.rule] += rest * paces[task.rule][1]
        # Jobs of a kind err together, different kinds by themselves, and all with the speed of the machine.
        spent = sum(self.taken.values()) + sum(now - began for began in self.started.values())
        work = max(sum(remaining.values()), 1e-9)
        machine = MACHINE / (1 + spent / SOON) * (1 - counted / work)
        spread = math.exp(KNOWN + math.hypot(*doubts.values()) / work + machine)
        seconds = self._schedule(remaining)
        return Left(seconds, seconds / spread, seconds * spread)

    def _paces(self, rates: Mapping[int, float], now: float) -> dict[str, tuple[float, float]]:
        """Return by rule what its jobs take over what is typical, and how uncertain (log seconds) that is."""
        spent: dict[str, float] = defaultdict(float)
        typical: dict[str, float] = defaultdict(float)
        jobs: dict[str, float] = defaultdict(float)
        for job, seconds in self.taken.items():
            task = self.tasks[job]
            spent[task.rule] += seconds
            typical[task.rule] += task.seconds
            jobs[task.rule] += 1
        for job in self.started.keys() & rates.keys():
            task, elapsed = self.tasks[job], now - self.started[job]
            share = elapsed / max(elapsed + rates[job], 1e-9)  # done of this job
            spent[task.rule] += elapsed
            typical[task.rule] += task.seconds * share
            jobs[task.rule] += share
        pace = self._common_pace(spent, typical)
        found = self._of_rules(spent, typical, jobs, pace)
        for job in self.started.keys() - rates.keys():
            task, elapsed = self.tasks[job], now - self.started[job]
            if elapsed > task.seconds * found[task.rule][0]:  # overdue: its kind takes longer than was thought
                spent[task.rule] += OVERDUE * elapsed
                typical[task.rule] += task.seconds
                jobs[task.rule] += 0.5
        return self._of_rules(spent, typical, jobs, self._common_pace(spent, typical))

    def _common_pace(self, spent: Mapping[str, float], typical: Mapping[str, float]) -> float:
        sizes: dict[str, float] = {}
        for task in self.tasks.values():
            sizes[task.rule] = max(task.seconds, sizes.get(task.rule, 0.0))
        telling = [rule for rule in spent if sizes[rule] > TRIVIAL]
        return (PRIOR + sum(spent[rule] for rule in telling)) / (PRIOR + sum(typical[rule] for rule in telling))

    def _of_rules(
        self, spent: Mapping[str, float], typical: Mapping[str, float], jobs: Mapping[str, float], pace: float
    ) -> dict[str, tuple[float, float]]:
        longest: dict[str, float] = {}
        for task in self.tasks.values():
            longest[task.rule] = max(task.seconds, longest.get(task.rule, 0.0))
        found = {}
        for rule, seconds in longest.items():
            prior = seconds / 4  # a quarter of a job at the common pace
            mine = (prior * pace + spent.get(rule, 0.0)) / max(prior + typical.get(rule, 0.0), 1e-9)
            found[rule] = mine, UNKNOWN / (1 + 4 * jobs.get(rule, 0.0))
        return found

    def _schedule(self, remaining: Mapping[int, float]) -> float:
        """Return when the last job ends if every core takes the next ready job of the highest priority."""
        waits = {job: sum(need in remaining for need in self.tasks[job].needs) for job in remaining}
        followers: dict[int, list[int]] = defaultdict(list)
        for job in remaining:
            for need in self.tasks[job].needs:
                if need in remaining:
                    followers[need].append(job)
        running = [(remaining[job], job) for job in self.started if job in remaining]
        heapq.heapify(running)
        cores = max(self.cores, len(running)) - len(running)
        gpus = self.gpus - sum(self._on_gpu(job) for _, job in running)
        ready: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])  # without and with a GPU
        for job, count in waits.items():
            if not count and job not in self.started:
                heapq.heappush(ready[self._on_gpu(job)], (-self.tasks[job].priority, job))
        clock = 0.0
        while running or any(ready):
            while cores and (queues := [q for q, free in ((ready[0], 1), (ready[1], gpus)) if q and free > 0]):
                _, job = heapq.heappop(min(queues, key=lambda queue: queue[0]))
                cores, gpus = cores - 1, gpus - self._on_gpu(job)
                heapq.heappush(running, (clock + remaining[job], job))
            if not running:  # jobs that wait for a GPU that this machine lacks
                break
            clock, job = heapq.heappop(running)
            cores, gpus = cores + 1, gpus + self._on_gpu(job)
            for follower in followers[job]:
                waits[follower] -= 1
                if not waits[follower] and follower not in self.started:
                    heapq.heappush(ready[self._on_gpu(follower)], (-self.tasks[follower].priority, follower))
        return clock

    def _on_gpu(self, job: int) -> bool:
        return self.gpus > 0 and self.tasks[job].gpu


def in_words(seconds: float, unit: bool = True) -> str:
    """Return a duration as one would say it: ``20 s``, ``12 min``, ``1 h 30 min``; without its last unit on request."""
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
    """Round to what an estimate can be meant to: tens of seconds, minutes, and from an hour and a half on tens."""
    step = 10 if seconds < 55 else 60 if seconds < 20 * 60 else 300 if seconds < 90 * 60 else 600
    if seconds >= 10 * 3600:
        step = 3600
    return max(10, round(seconds / step) * step)
