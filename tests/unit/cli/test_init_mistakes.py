"""``gendist init``: labels, encodings and texts that are easily mistaken."""

import json
import os
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from init_fixtures import PLAIN, as_csv, labelled, prepared, refused, table, worked

from gendist.config import load_study

pytestmark = pytest.mark.usefixtures("folder")


def test_codes_are_no_spellings_of_each_other(folder: Path):
    codes = ["1234567", "1234568", "1_0", "10", "1e1"]
    rows = [(f"{text} {i}", codes[i % 5]) for i, (text, _) in enumerate(PLAIN)]
    (folder / "a.csv").write_text(as_csv(["text", "label"], rows))
    said = worked("a.csv", "--merge-case")
    assert "merge" not in said and all(f" {code} (16)" in said for code in codes)


def test_labels_that_look_alike_are_different_classes(folder: Path):
    names = ["sea", "sea\u200b", "café", "cafe\u0301"]
    rows = [(f"{text} {i}", names[i % 4]) for i, (text, _) in enumerate(PLAIN)]
    (folder / "a.csv").write_text(as_csv(["text", "label"], rows), encoding="utf-8")
    said = worked("a.csv")
    assert "different classes: 'sea' (20 rows) and 'sea\\u200b' (20 rows); --merge-case merges them" in said
    assert "different classes: 'cafe\\u0301' (20 rows) and 'café' (20 rows)" in said
    worked("a.csv", "--merge-case", "--force")
    assert prepared("a.yaml")[0].label_names == ["cafe\u0301", "sea"]


def test_test_labels_that_differ_in_spelling_are_merged_on_request(folder: Path):
    spelt = {"café": "cafe\u0301", "sky": "Sky"}
    rows = [(f"{text} {i}", list(spelt)[i % 2]) for i, (text, _) in enumerate(PLAIN)]
    others = [(f"{text} again", spelt[label]) for text, label in rows[:4]]
    (folder / "a.csv").write_text(as_csv(["text", "label"], rows), encoding="utf-8")
    (folder / "t.csv").write_text(as_csv(["text", "label"], others), encoding="utf-8")
    said = refused("a.csv", "--test", "t.csv")
    assert said.startswith(
        "t.csv: no row with a text and a class that a.csv has; left out 2 row(s): class 'cafe\u0301'"
    )
    assert "('café' differs from 'cafe\\u0301' in spelling only; --merge-case merges them) (lines 2, 4)" in said
    said = worked("a.csv", "--test", "t.csv", "--merge-case")
    assert "note: t.csv: 'cafe\\u0301' (2 rows) merged into 'café'" in said
    assert "note: t.csv: 'Sky' (2 rows) merged into 'sky'" in said
    assert prepared("a.yaml")[1].label_names == ["café", "sky"]


@pytest.mark.parametrize("name", ["2024", "1e3", "0x10", "2024-01-01", "null", "yes", "On"])
def test_names_that_yaml_takes_for_other_values_are_quoted(folder: Path, name: str):
    (folder / f"{name}.csv").write_text(as_csv(["text", "label"], PLAIN))
    worked(f"{name}.csv")
    assert list(load_study(Path(f"{name}.yaml")).datasets) == [name]


def test_the_labelled_file_is_no_test_file(folder: Path):
    (folder / "a.csv").write_text(as_csv(["text", "label"], PLAIN))
    assert refused("a.csv", "--test", "a.csv") == (
        "a.csv: is the labelled file, so its accuracy would be that of known texts; expected a file of other rows "
        "(--test)"
    )
    assert sorted(path.name for path in folder.iterdir()) == ["a.csv"]


@pytest.mark.parametrize("out", ["configs", "a.txt"])
def test_the_config_is_a_yaml_file(folder: Path, out: str):
    (folder / "a.csv").write_text(as_csv(["text", "label"], PLAIN))
    expected = f"--out '{out}' is not accepted: expected a .yaml file, such as {Path(out).stem}.yaml"
    assert refused("a.csv", "--out", out) == expected


def test_decimals_are_labels_like_integers(folder: Path):
    kinds = {"sea": Decimal(1), "sky": Decimal("2.00")}
    pq.write_table(pa.table({"text": [t for t, _ in PLAIN], "class": [kinds[x] for _, x in PLAIN]}), "a.parquet")
    said = worked("a.parquet")
    assert " 1.00 (40)" in said and " 2.00 (40)" in said
    assert prepared("a.yaml")[0].label_names == ["1", "2"]
    pq.write_table(pa.table({"text": ["a b", "c d"], "class": [Decimal("1.5"), Decimal("2.5")]}), "b.parquet")
    assert "label is of type Decimal, expected a name or an integer" in refused("b.parquet", "--label", "class")


def test_what_is_guessed_is_named(folder: Path):
    (folder / "a.csv").write_text(as_csv(["text", "label"], PLAIN))
    assert "(guessed; use --text and --label to choose others)" in worked("a.csv")
    assert "(guessed; use --text to choose others)" in worked("a.csv", "--force", "--label", "label")
    assert "guessed" not in worked("a.csv", "--force", "--label", "label", "--text", "text")


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
