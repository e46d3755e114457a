"""Every duration stands in one file, listed in docs/timings.yaml."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = ["README.md", "config.yaml", "Makefile"]
PATTERNS = ("docs/*.md", "configs/*.yaml", "examples/*")
FILES += [path.relative_to(ROOT).as_posix() for pattern in PATTERNS for path in ROOT.glob(pattern) if path.is_file()]
NUMBER = r"(?:\d[\d.,]*|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty)"
AMOUNT = rf"half an|(?:three )?quarters? of an|{NUMBER}(?: and a half)?"
DURATION = re.compile(rf"\b(?:{AMOUNT})[ -](?:minute|hour)s?\b", re.IGNORECASE)


def durations(text: str) -> list[str]:
    """Return the durations in minutes or hours that a text states."""
    return [match[0] for match in DURATION.finditer(" ".join(text.split()))]


@pytest.fixture(scope="module")
def timings() -> list[dict[str, str]]:
    found: list[dict[str, str]] = yaml.safe_load((ROOT / "docs/timings.yaml").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("file", FILES)
def test_a_file_states_the_durations_that_are_listed_for_it(file: str, timings: list[dict[str, str]]):
    listed = [duration for timing in timings if timing["file"] == file for duration in durations(timing["text"])]
    assert sorted(durations((ROOT / file).read_text(encoding="utf-8"))) == sorted(listed)


def test_every_listed_duration_stands_in_its_file(timings: list[dict[str, str]]):
    assert {timing["file"] for timing in timings} <= set(FILES)
    for timing in timings:
        assert timing["text"] in " ".join((ROOT / timing["file"]).read_text(encoding="utf-8").split()), timing
    assert len({timing["what"] for timing in timings}) == len(timings)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It takes about half an\nhour on two cores.", ["half an hour"]),
        ("a quarter of an hour, or seven minutes", ["quarter of an hour", "seven minutes"]),
        ("36 hours, an hour and a 15-minute break", ["36 hours", "an hour", "15-minute"]),
        ("planning takes minutes; 10 seconds; two cores", []),
    ],
)
def test_durations_are_found(text: str, found: list[str]):
    assert durations(text) == found
