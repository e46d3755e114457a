"""``gendist init``: columns and encodings are guessed, and asked about."""

from pathlib import Path
from typing import Any

import pytest
from init_fixtures import PLAIN, as_csv, gendist, refused, sentence, worked

from gendist.cli import init as init_module
from gendist.cli.own_data.column_guess import guess_label, guess_text, make_columns
from gendist.config import load_study
from gendist.io.text_encodings import guess_encoding

pytestmark = pytest.mark.usefixtures("folder")

# --- guesses ---


def guessed(**columns: list[Any]) -> tuple[str | None, str | None]:
    wrapped = make_columns(columns)
    text, label = guess_text(wrapped), guess_label(wrapped)
    return (text.columns[0].name if text.is_clear else None), (label.columns[0].name if label.is_clear else None)


def test_columns_are_guessed_by_what_they_hold():
    texts = [sentence(i) for i in range(60)]
    ab = ["ab"[i % 2] for i in range(60)]
    number = list(range(60))
    urls = [f"https://example.org/{'x' * 90}/{i}" for i in range(60)]
    dates = [f"2024-01-{i % 28 + 1:02} 10:00:00 +00:00 UTC" for i in range(60)]
    assert guessed(id=number, url=urls, date=dates, what=texts, kind=ab) == ("what", "kind")
    assert guessed(one=texts, two=texts, label=ab) == (None, "label")
    assert guessed(one=texts, text=texts, label=ab) == ("text", "label")
    assert guessed(text=texts, day=["Mo", "Tu", "We"] * 20, country=ab) == ("text", None)
    assert guessed(text=texts, day=["Mo", "Tu", "We"] * 20, category=ab) == ("text", "category")
    assert guessed(text=texts, label=[i % 2 for i in range(60)], label_name=ab) == ("text", "label_name")
    assert guessed(text=texts, year=[2024] * 60, score=[i / 7 for i in range(60)]) == ("text", None)


@pytest.mark.parametrize(
    "name", ["queue", "Department", "team", "type", "ticketType", "status", "issue_category", "intent", "Sentiment"]
)
def test_usual_names_of_labels_are_known(name: str):
    texts = [sentence(i) for i in range(60)]
    ab, days = ["ab"[i % 2] for i in range(60)], ["Mo", "Tu", "We"] * 20
    assert guessed(text=texts, day=days, **{name: ab}) == ("text", name)
    if name in ("queue", "Department", "team", "type", "ticketType", "status"):  # weaker than `label`
        assert guessed(text=texts, label=days, **{name: ab}) == ("text", "label")


def test_a_near_miss_is_suggested(folder: Path):
    rows = [(t, y, "xyz"[i % 3]) for i, (t, y) in enumerate(PLAIN)]
    (folder / "a.csv").write_text(as_csv(["text", "day", "kategory"], rows))
    assert refused("a.csv").endswith("name it with --label COLUMN (is it 'kategory'?)")
    assert refused("a.csv", "--label", "Category").endswith("; did you mean 'kategory'?")


def test_what_is_unclear_without_a_terminal_ends_in_one_line(folder: Path):
    rows = [(t, y, "xyz"[i % 3]) for i, (t, y) in enumerate(PLAIN)]
    (folder / "a.csv").write_text(as_csv(["text", "place", "mood"], rows))
    assert refused("a.csv") == "a.csv: several columns may be the label ('place', 'mood'); name it with --label COLUMN"
    assert refused("a.csv", "--text", "txt") == (
        "a.csv: no column 'txt' (has 'text', 'place', 'mood'); did you mean 'text'?"
    )
    assert "cannot be both text and label" in refused("a.csv", "--text", "text", "--label", "text")
    assert not (folder / "a.yaml").exists() and not (folder / "data").exists()
    assert "label: column 'mood', 3 classes: x (27)" in worked("a.csv", "--label", "mood")


def test_a_person_at_a_terminal_corrects_the_guess(folder: Path, monkeypatch: pytest.MonkeyPatch):
    rows = [(t, y, "xyz"[i % 3]) for i, (t, y) in enumerate(PLAIN)]
    (folder / "a.csv").write_text(as_csv(["text", "place", "mood"], rows))
    monkeypatch.setattr(init_module, "is_interactive", lambda: True)
    result = gendist("a.csv", typed="\nnone\n3\n")
    assert result.exception is None, result.output
    assert "  2. 'place': 2 classes: " in result.output and "'none' is not a column." in result.output
    assert load_study(Path("a.yaml")).datasets["a"].label == "mood"


# --- the config ---


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("ä".encode(), "utf-8"),
        ("ä".encode("utf-8-sig"), "utf-8"),
        ("a,b\nä,c".encode("utf-16"), "utf-16"),
        ("a,b\nä,c".encode("utf-16-le"), "utf-16-le"),
        ("a,b\nä,c".encode("utf-16-be"), "utf-16-be"),
        ("“ä”".encode("cp1252"), "cp1252"),
        (b"\x81\xe4", "latin-1"),
        (b"", "utf-8"),
    ],
)
def test_encodings_are_recognised(content: bytes, name: str):
    assert guess_encoding(content) == name
