"""Two ways to the same end, timed in turns."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch

from gendist.errors import GendistError

Workload = Callable[[], float]
"""Does the work once; returns how many units (tokens, rows, texts) it made."""


class SkippedError(Exception):
    """Raised by the ``cases`` of a group that this machine cannot run; the message says why."""


@dataclass(frozen=True)
class Check:
    """Whether the faster way still gives what the slower one does."""

    what: str
    value: float
    limit: float
    """The most that ``value`` may be."""

    @property
    def passed(self) -> bool:
        """Say whether the value keeps to its limit."""
        return self.value <= self.limit


@dataclass(frozen=True)
class Case:
    """A pair to time."""

    name: str
    baseline: str
    """What ours is compared with."""
    unit: str
    goal: float | None
    """Ratio of rates that is aimed at; None where there is none."""
    ours: Workload
    theirs: Workload
    checks: Sequence[Check] = ()
    wall: bool = False
    """Timed by the clock, because CPU time counts no work of a GPU; both ways must wait until it is done."""


@dataclass(frozen=True)
class Outcome:
    """Rates of both in units per second (of CPU time, or of the clock), over several rounds, and their ratios."""

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
    """Time both ways in turns, after one round each that is not counted.

    Times are CPU times of this process, which runs one thread: on an idle machine they are those of the clock,
    and other work on the machine inflates them far less. Cases that say so are timed by the clock.
    """
    now = time.perf_counter if case.wall else time.process_time
    case.ours(), case.theirs()
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(rounds):
        # Who comes first changes, so that neither always finds the caches of the other.
        for work, rates in [(case.ours, ours), (case.theirs, theirs)][:: 1 if number % 2 else -1]:
            began = now()
            units = made(work)
            rates.append(units / (now() - began))
    return Outcome(case, ours, theirs)


def rate(work: Workload) -> float:
    """Return units of work per second by the clock, a GPU's included, after a first time that does not count.

    Raises:
        GendistError: if the work made nothing.
    """
    work()
    _wait()
    began = time.perf_counter()
    units = made(work)
    _wait()
    return units / (time.perf_counter() - began)


def made(work: Workload) -> float:
    """Do the work; return its units.

    Raises:
        GendistError: if there are none: a rate of zero says nothing, and cannot be divided by.
    """
    units = work()
    if not units > 0:
        raise GendistError(
            f"benchmark: {getattr(work, '__qualname__', work)} made {units:g} units; expected more than 0"
        )
    return units


def _wait() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
