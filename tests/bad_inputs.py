"""Malformed inputs: what every refusal must look like."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from gendist.errors import LONGEST, GendistError

BOUNDED = settings(
    derandomize=True,  # the same examples every time
    database=None,
    deadline=None,  # on a busy machine an example takes as long as it takes
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
"""Settings of every property."""


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Every path below a folder with its size and time of change."""
    return {
        os.fspath(path.relative_to(folder)): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in folder.rglob("*")
    }


def one_line(message: str) -> None:
    """What is said to a person: one line, printable, not endless."""
    assert message.isprintable() and message.strip(), repr(message)
    assert len(message) <= LONGEST + 10, len(message)
    assert "Traceback" not in message


def refused(call: Callable[[], object], folder: Path, *named: str) -> str:
    """A call ends in one line that holds every ``named``, and leaves the folder as it was; returns the line."""
    before = listing(folder)
    with pytest.raises(GendistError) as caught:
        call()
    message = str(caught.value)
    one_line(message)
    for part in named:
        assert part in message, message
    assert listing(folder) == before, message
    return message


def survived(call: Callable[[], object], folder: Path) -> bool:
    """A call either works or is refused as ``refused`` wants it; returns whether it worked."""
    before = listing(folder)
    try:
        call()
    except GendistError as error:
        one_line(str(error))
        assert listing(folder) == before, str(error)
        return False
    return True
