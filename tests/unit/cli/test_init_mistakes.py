"""``gendist init``: labels, encodings and texts that are easily mistaken."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from init_fixtures import PLAIN, as_csv, labelled, prepared, refused, table, worked

pytestmark = pytest.mark.usefixtures("folder")


def test_codes_are_no_spellings_of_each_other(folder: Path):
    codes = ["1234567", "1234568", "1_0", "10", "1e1"]
    rows = [(f"{text} {i}", codes[i % 5]) for i, (text, _) in enumerate(PLAIN)]
    (folder / "a.csv").write_text(as_csv(["text", "label"], rows))
    said = worked("a.csv", "--merge-case")
    assert "merge" not in said and all(f" {code} (16)" in said for code in codes)


def test_labels_that_look_alike_are_told_apart(folder: Path):
    names = ["sea", "sea\u200b", "café", "cafe\u0301"]
    rows = [(f"{text} {i}", names[i % 4]) for i, (text, _) in enumerate(PLAIN)]
    (folder / "a.csv").write_text(as_csv(["text", "label"], rows), encoding="utf-8")
    said = worked("a.csv")
    assert "different classes: 'sea' (20 rows) and 'sea\\u200b' (20 rows); --merge-case merges them" in said
    assert "different classes: 'cafe\\u0301' (20 rows) and 'café' (20 rows)" in said
    worked("a.csv", "--merge-case", "--force")
    assert prepared("a.yaml")[0].label_names == ["cafe\u0301", "sea"]


@pytest.mark.parametrize("name", ["nan", "NULL", "N/A"])
def test_labels_that_stand_for_a_missing_value_are_pointed_out(folder: Path, name: str):
    (folder / "a.csv").write_text(as_csv(["text", "label"], [*PLAIN, *table({name: 30})]))
    assert f"note: '{name}' (30 rows) is a class; if it stands for a missing label, empty those cells" in worked(
        "a.csv"
    )


@pytest.mark.parametrize("text", ["more\rof it", "one, two\nthree, four"])
def test_the_files_of_init_read_as_the_rows_they_hold(folder: Path, text: str):
    rows = [(f"{t} {text}" if i % 7 == 0 else t, y) for i, (t, y) in enumerate(PLAIN)]
    (folder / "a.jsonl").write_text("".join(json.dumps({"text": t, "label": y}) + "\n" for t, y in rows))
    worked("a.jsonl")
    assert labelled(*prepared("a.yaml")) == Counter(rows)


def test_an_encoding_that_is_guessed_is_noted(folder: Path):
    (folder / "a.csv").write_bytes(as_csv(["text", "label"], [(f"{t} café", y) for t, y in PLAIN]).encode("cp1252"))
    note = "note: a.csv: not UTF-8, read as cp1252; if accented letters are wrong, set --encoding"
    assert note in worked("a.csv")
    assert "note: a.csv" not in worked("a.csv", "--encoding", "cp1252", "--force")


def test_a_file_name_that_no_config_can_hold_is_refused(folder: Path):
    name = os.fsdecode(b"a\xff.csv")
    (folder / name).write_text(as_csv(["text", "label"], PLAIN))
    assert refused(name) == "'a\\udcff.csv': the name of the file is not UTF-8; rename it"
