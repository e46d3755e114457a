"""Time two implementations of the same task in turns."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch

from gendist.errors import GendistError

Workload = Callable[[], float]
"""Runs a task once; returns the number of units (tokens, rows, texts) that it processed."""


class SkippedError(Exception):
    """Raised by the ``cases`` of a group that this machine cannot run, with the reason."""


@dataclass(frozen=True)
class Check:
    """A measured value and its limit, to check that the faster implementation is still correct."""

    what: str
    value: float
    limit: float
    """Upper limit of ``value``."""

    @property
    def passed(self) -> bool:
        """Return whether the value is within its limit."""
        return self.value <= self.limit


@dataclass(frozen=True)
class Case:
    """A pair of implementations to time."""

    name: str
    baseline: str
    """Name of the implementation that ours is compared with."""
    unit: str
    goal: float | None
    """Goal for the ratio of rates, or None."""
    ours: Workload
    theirs: Workload
    checks: Sequence[Check] = ()
    wall: bool = False
    """Time by wall clock, because CPU time excludes the GPU; both implementations must synchronise at their end."""


@dataclass(frozen=True)
class Outcome:
    """Rates of both in units per second (of CPU time, or wall clock) for each round, and their ratios."""

    case: Case
    ours: list[float]
    theirs: list[float]

    @property
    def ratios(self) -> list[float]:
        """Return ours / theirs of each round."""
        return [mine / other for mine, other in zip(self.ours, self.theirs, strict=True)]

    @property
    def ratio(self) -> float:
        """Return the median ratio."""
        return median(self.ratios)


def run_case(case: Case, rounds: int) -> Outcome:
    """Time both implementations in turns, after one warm-up round each.

    Times are CPU times of this process, which runs one thread, because other processes on the machine affect them far
    less than wall-clock times. Cases with ``wall`` are timed by wall clock.
    """
    now = time.perf_counter if case.wall else time.process_time
    case.ours(), case.theirs()
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(rounds):
        # The order alternates, so that cache effects are the same for both.
        for work, rates in [(case.ours, ours), (case.theirs, theirs)][:: 1 if number % 2 else -1]:
            began = now()
            units = run_once(work)
            rates.append(units / (now() - began))
    return Outcome(case, ours, theirs)


def rate(work: Workload) -> float:
    """Return units per second of wall clock, GPU included, after one warm-up run.

    Raises:
        GendistError: if no unit was processed.
    """
    work()
    _wait()
    began = time.perf_counter()
    units = run_once(work)
    _wait()
    return units / (time.perf_counter() - began)


def run_once(work: Workload) -> float:
    """Run a task; return its units.

    Raises:
        GendistError: if no unit was processed, so that rates would be zero.
    """
    units = work()
    if not units > 0:
        raise GendistError(
            f"benchmark: {getattr(work, '__qualname__', work)} returned {units:g} units; expected more than 0"
        )
    return units


def _wait() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
