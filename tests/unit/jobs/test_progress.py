"""Progress lines of long jobs."""

import logging

import pytest

from gendist.jobs.progress_log import Progress
from gendist.launcher.study_state import PROGRESS_LINE


def lines(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, progress: Progress, ends: list[float]):
    """The lines that come of a unit finished at each of these times."""
    with caplog.at_level(logging.INFO):
        for end in ends:
            monkeypatch.setattr("time.monotonic", lambda end=end: end)
            progress.update(1)
    return [record.message for record in caplog.records]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    return Progress("finetuning the teacher", 16, "epochs")


def test_slow_units_are_seconds_of_one(monkeypatch, caplog, started):
    found = lines(monkeypatch, caplog, started, [110.0, 220.0])
    assert found == [
        "finetuning the teacher: 1 of 16 epochs, 110 s per epoch, 27:30 left",
        "finetuning the teacher: 2 of 16 epochs, 110 s per epoch, 25:40 left",
    ]
    assert all(PROGRESS_LINE.fullmatch(line) for line in found)


def test_fast_units_are_a_rate_and_short_work_is_silent(monkeypatch, caplog, started):
    assert lines(monkeypatch, caplog, started, [0.1 * n for n in range(1, 9)]) == []
    assert lines(monkeypatch, caplog, started, [10.0])[-1].endswith("9 of 16 epochs, 1.11 s per epoch, 0:08 left")
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    rows = Progress("scoring", 1000)
    monkeypatch.setattr("time.monotonic", lambda: 20.0)
    with caplog.at_level(logging.INFO):
        rows.update(250)
    assert caplog.records[-1].message == "scoring: 250 of 1,000 rows, 12.5/s, 1:00 left"


def test_the_first_hundredth_says_nothing_about_the_time_left(monkeypatch, caplog):
    """One row of 500 after a start of sixteen seconds."""
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    rows = Progress("generating shard 2", 500)
    found = lines(monkeypatch, caplog, rows, [16.4, 17.0, 17.5, 18.0, 28.0])
    assert found[0] == "generating shard 2: 1 of 500 rows, 16.4 s per row, ? left"
    assert found[1] == "generating shard 2: 5 of 500 rows, 5.6 s per row, 46:12 left" and len(found) == 2
