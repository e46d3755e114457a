"""The time left, replayed on histories of whole runs."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from gendist.config import study_from
from gendist.launcher.study_state import Job
from gendist.launcher.time_left import Task, TimeEstimate, TimeLeft, format_duration
from gendist.launcher.typical_times import job_seconds, teacher_seconds

FOLDER = Path(__file__).parent / "histories"
CORES = {"idle-two-cores": 2, "busy-two-cores": 2, "eight-cores": 8, "resumed-one-core": 1, "measured-one-core": 1}
HISTORIES = [FOLDER / f"{name}.csv" for name in CORES if not name.startswith("measured")]
MEASURED = FOLDER / "measured-one-core.csv"
"""A real study of 97 jobs whose machine had other loads: its teacher took three times as long as the generators' pace
promised, and two students of five seconds took more than two minutes."""
CLOSE = 20.0
"""Seconds that make no difference at the end of a run."""
FIRST_LINE = 10.0
"""Seconds after which a job reports its rate."""


class Clock:
    """Time that the test sets."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def replay(path: Path, steps: int = 60) -> Iterator[tuple[float, float, TimeLeft]]:
    """Yield time so far, true time left and its estimate, along a history.

    A history has the jobs of a study with their typical seconds as planned, when each began and ended, and of jobs
    that report their rate either what their logs said (``time:seconds left``, in measured histories), or when half of
    the work was done (in made ones).
    """
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    clock = Clock()
    estimate = TimeEstimate(now=clock)
    tasks = [
        Job(
            int(row["job"]),
            row["rule"],
            "",
            [],
            [],
            True,
            [],
            list(map(int, row["needs"].split())),
            float(row["typical"]),
            int(row["priority"]),
        ).task
        for row in rows
    ]
    estimate.plan(tasks, CORES[path.stem])
    events = [(float(r["ended"]), 0, r) for r in rows] + [(float(r["began"]), 1, r) for r in rows]
    events.sort(key=lambda event: event[:2])
    end = max(float(r["ended"]) for r in rows)
    running: dict[int, dict[str, str]] = {}
    for step in range(1, steps):
        until = end * step / steps
        while events and events[0][0] <= until:
            clock.time, begins, row = events.pop(0)
            job = int(row["job"])
            if begins:
                estimate.start([job])
                running[job] = row
            else:
                estimate.finish(job)
                del running[job]
        clock.time = until
        rates = {job: left for job, row in running.items() if (left := reported(row, until)) is not None}
        yield until, end - until, estimate.left(rates)


def reported(row: dict[str, str], now: float) -> float | None:
    """What a job's log says of the time that it still needs: the rest of its work at its mean rate so far."""
    began, ended = float(row["began"]), float(row["ended"])
    if said := [(time, left) for time, left in _reports(row) if time <= now]:
        time, left = said[-1]
        return max(left - (now - time), 0.1 * left)  # as ``seconds_left`` reads a log
    if not row["halfway"] or now - began < FIRST_LINE:
        return None
    half = float(row["halfway"])
    done = (now - began) / (half - began) / 2 if now < half else 0.5 + (now - half) / (ended - half) / 2
    return (now - began) * (1 - done) / done


def _reports(row: dict[str, str]) -> list[tuple[float, float]]:
    pairs = [report.split(":") for report in (row.get("reports") or "").split()]
    return [(float(time), float(left)) for time, left in pairs]


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_the_time_left_is_within_a_factor_of_one_and_a_half_from_a_quarter_on(path: Path):
    late = [(so_far, true, left) for so_far, true, left in replay(path) if so_far >= (so_far + true) / 4]
    wrong = [
        f"after {so_far / 60:.1f} min: {left.seconds / 60:.1f} min for {true / 60:.1f}"
        for so_far, true, left in late
        if not true / 1.5 <= left.seconds <= true * 1.5 and abs(true - left.seconds) > CLOSE
    ]
    assert wrong == []


def test_on_a_machine_with_other_loads_most_estimates_are_as_close():
    found = list(replay(MEASURED))
    late = [(true, left.seconds) for so_far, true, left in found if so_far >= (so_far + true) / 4]
    close = [true / 1.5 <= seconds <= true * 1.5 or abs(true - seconds) <= CLOSE for true, seconds in late]
    assert sum(close) / len(close) > 0.8
    inside = [left.low <= true <= left.high for _, true, left in found]
    assert sum(inside) / len(inside) > 0.7


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_the_range_holds_the_truth_and_narrows(path: Path):
    found = list(replay(path))
    inside = [left.low <= true <= left.high for _, true, left in found]
    assert sum(inside) / len(inside) > 0.8
    first, later = found[0][2], found[len(found) // 2][2]
    assert first.high / first.low > 2 and " to " in str(first)
    assert later.high / later.low < first.high / first.low


def task(number: int, rule: str = "a", seconds: float = 10.0, *needs: int) -> Task:
    return Task(number, rule, seconds, needs)


def planned(*tasks: Task, cores: int = 1, gpus: int = 0) -> tuple[TimeEstimate, Clock]:
    clock = Clock()
    estimate = TimeEstimate(now=clock)
    estimate.plan(tasks, cores, gpus)
    return estimate, clock


def test_before_anything_ran_typical_times_are_scheduled_on_the_cores():
    estimate, _ = planned(task(1), task(2), task(3), task(4, "b", 50.0, 1))
    assert estimate.left().seconds == 80
    estimate.cores = 2
    assert estimate.left().seconds == 60  # the long one waits for the first, the others run beside it
    estimate.cores = 100
    assert estimate.left().seconds == 60


def test_jobs_on_a_gpu_wait_for_it():
    on_gpu = [Task(number, "shard", 10.0, gpu=True) for number in range(4)]
    estimate, _ = planned(*on_gpu, task(9), cores=8, gpus=1)
    assert estimate.left().seconds == 40
    estimate.gpus = 0  # they run on cores
    assert estimate.left().seconds == 10


def test_trivial_jobs_do_not_set_the_pace_of_others():
    estimate, clock = planned(task(1, "draw", 3.0), task(2, "train", 600.0))
    estimate.start([1])
    clock.time = 30  # ten times what is typical
    estimate.finish(1)
    assert estimate.left().seconds == 600


def test_a_job_in_progress_counts_by_its_own_rate():
    estimate, clock = planned(task(1, "train", 100.0), task(2, "train", 100.0))
    estimate.start([1])
    clock.time = 60
    left = estimate.left({1: 540.0}).seconds
    assert 540 + 250 < left < 540 + 600  # its sibling is expected to be slow too


def test_an_overdue_job_is_not_about_to_end():
    estimate, clock = planned(task(1, "train", 10.0))
    estimate.start([1])
    clock.time = 400
    assert estimate.left().seconds >= 100


def test_a_failed_job_and_what_needs_it_count_only_when_it_starts_again():
    others = Task(2, "export", 30.0, needs=(1,)), Task(3, "report", 20.0, needs=(2,)), Task(4, "texts", 5.0)
    estimate, clock = planned(task(1, "train", 100.0), *others)
    estimate.start([1])
    clock.time = 50
    assert estimate.left().seconds == 50 + 5 + 30 + 20
    estimate.fail(1)
    assert estimate.left().seconds == 5
    estimate.start([1])
    assert estimate.left().seconds == 100 + 5 + 30 + 20


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3, "10 s"), (44, "40 s"), (58, "1 min"), (700, "12 min"), (3000, "50 min"), (5400, "1 h 30 min"), (7200, "2 h")],
)
def test_durations_are_as_exact_as_an_estimate(seconds: float, words: str):
    assert format_duration(seconds) == words


def test_an_uncertain_estimate_is_a_range():
    assert str(TimeLeft(700, 650, 750)) == "about 12 min"
    assert str(TimeLeft(1200, 600, 2400)) == "10 to 40 min"
    assert str(TimeLeft(1800, 900, 3600)) == "15 min to 1 h"
    assert str(TimeLeft(0, 0, 0)) == "about 10 s"


def test_typical_times_follow_rows_and_settings():
    study = study_from({"datasets": {"d": {"train": "a.csv", "test": "b.csv"}}})
    names = {"dataset": "d", "teacher": "minilm", "generator": "pocket"}
    run = {"dataset": "d", "student": "kim", "regime": "dist", "variant": "minilm.default", "n_synthetic": "0"}
    known, unknown = (job_seconds(study, "finetune_teacher", names, rows) for rows in ({"d": 60}, {}))
    assert known == teacher_seconds(study, "minilm", 60) < unknown
    distilled = job_seconds(study, "distil_student", run, {})
    assert distilled == pytest.approx(2 + 300 * 0.01)  # the fewest steps
    assert job_seconds(study, "write_table1", {}, {}) < distilled
    assert job_seconds(study, "cross_fit", run, {}) == 5 * distilled
    more = run | {"regime": "gendist", "variant": "minilm.pocket.nucleus.default", "n_synthetic": "2500"}
    assert job_seconds(study, "distil_student", more, {}) == pytest.approx(2 + 8 * 157 * 0.01)  # 16 of each 32 are new
    assert job_seconds(study, "distil_student", run | {"student": "res"}, {}) > 2 * distilled
