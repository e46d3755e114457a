"""``gendist init``: what it points out in a file, and what it refuses."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from init_fixtures import PLAIN, WORDS, as_csv, gendist, labelled, prepared, refused, sentence, table, worked

from gendist.cli import init as init_module
from gendist.config import load_study

pytestmark = pytest.mark.usefixtures("folder")


def test_warnings_say_what_where_and_how_many(folder: Path):
    rows = table({"sea": 210, "sky": 30, "fog": 12, "ice": 1, "Sea": 3})
    rows = [
        *rows,
        (f" {rows[0][0].upper()}", rows[0][1]),
        ("a text of two minds", "sea"),
        ("a text of two minds", "sky"),
    ]
    rows = [*rows, ("", "sea"), ("no label here", ""), (" ".join(WORDS * 12), "sea")]
    (folder / "a.csv").write_text(as_csv(["text", "label"], rows))
    said = worked("a.csv")
    for part in (
        "note: left out 1 row(s): empty text (line 261)",
        "note: left out 1 row(s): empty label (line 262)",
        "note: left out 1 row(s): only row of class 'ice'",
        "note: 2 row(s) repeat an earlier text (lines 2, 258: '",
        "note: 1 text(s) have more than one label (lines 259, 260: 'a text of two minds' is 'sea' and 'sky')",
        "labels that differ in case, spaces or invisible characters only are different classes: 'sea' (",
        "note: 2 class(es) have fewer than 20 rows: 'fog' (12), 'Sea' (3)",
        "note: classes are uneven: 'sea' has 21",
        "note: 1 of 259 texts have more than 128 subwords and are truncated (line 263)",
    ):
        assert part in said, (part, said)
    assert "English" not in said
    prepared("a.yaml")


def test_one_number_in_two_spellings_is_pointed_out(folder: Path):
    labels = ["1", "1.0", "2"]
    rows = [(f"{text} {i}", labels[i % 3]) for i, (text, _) in enumerate(PLAIN)]
    (folder / "a.csv").write_text(as_csv(["text", "label"], rows))
    assert "labels that are the same number are different classes: '1" in worked("a.csv")


def test_a_clean_file_gives_no_warning(folder: Path):
    (folder / "a.csv").write_text(as_csv(["text", "label"], PLAIN))
    assert "note:" not in worked("a.csv")


def test_texts_in_another_language_are_pointed_out(folder: Path):
    line = "der Hafen und ein Tal mit Wolken über der stillen Mühle wo man heute singt"
    words = line.split()
    rows = [(" ".join(random.Random(i).choices(words, k=9)), "ab"[i % 2]) for i in range(60)]
    (folder / "a.csv").write_text(as_csv(["text", "label"], rows), encoding="utf-8")
    assert "do not look like English" in worked("a.csv")


@pytest.mark.parametrize("test_table", [False, True])
def test_labels_that_differ_in_case_are_merged_where_that_is_wanted(folder: Path, test_table: bool):
    rows = table({"Billing": 30, "billing": 8, "1": 20, "1.0": 4})
    (folder / "a.csv").write_text(as_csv(["text", "label"], rows))
    said = worked("a.csv")
    assert "different classes: 'Billing' (30 rows) and 'billing' (8 rows); --merge-case merges them" in said
    assert "different classes: '1' (20 rows) and '1.0' (4 rows)" in said
    (folder / "b.csv").write_text(as_csv(["text", "label"], [("a new text of words", "BILLING"), ("and another", "1")]))
    said = worked("a.csv", "--merge-case", "--force", *(["--test", "b.csv"] if test_table else []))
    assert "note: 'billing' (8 rows) merged into 'Billing'" in said and "'1.0' (4 rows) merged into '1'" in said
    train, test = prepared("a.yaml")
    assert train.label_names == ["1", "Billing"] and len(train.texts) + len(test.texts) == (64 if test_table else 62)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([["sea"], ["sky"]] * 20, "label is of type list, expected a name or an integer (rows 1, 2, 3, …)"),
        ([b"sea", b"sky"] * 20, "label is of type bytes, expected a name or an integer"),
        ([{"a": 1}, {"a": 2}] * 20, "label is of type dict"),
    ],
)
def test_labels_of_a_kind_that_is_not_taken_are_named_with_the_reason(folder: Path, values: list[Any], reason: str):
    pq.write_table(pa.table({"text": [t for t, _ in PLAIN[:40]], "label": values}), folder / "a.parquet")
    message = refused("a.parquet", "--text", "text", "--label", "label")
    assert "column 'label' has none; left out 40 row(s): " in message and reason in message


def test_texts_of_a_kind_that_is_not_taken_are_named_with_the_reason(folder: Path):
    pq.write_table(pa.table({"text": [[t] for t, _ in PLAIN], "label": [y for _, y in PLAIN]}), folder / "a.parquet")
    assert "text is of type list, expected text" in refused("a.parquet", "--text", "text", "--label", "label")


def test_a_file_without_header_is_one_and_the_study_reads_it(folder: Path):
    for name, rows in (("a", PLAIN), ("b", PLAIN[:9])):
        (folder / f"{name}.csv").write_text(
            as_csv(["0", sentence(999), "sea"], [(i, *row) for i, row in enumerate(rows, 1)])
        )
    said = worked("a.csv", "--test", "b.csv")
    assert "line 1 is taken for a row" in said and "text:  column '2'" in said and "label: column '3'" in said
    dataset = load_study(Path("a.yaml")).datasets["a"]
    assert (dataset.text, dataset.label, dataset.header) == (["2"], "3", False)
    train, test = prepared("a.yaml")
    assert train.texts[0] == test.texts[0] == sentence(999) and (len(train.texts), len(test.texts)) == (81, 10)
    assert "may be a header or a row" in refused_as(
        "tweet,spam", [(f"word{i}", "spam" if i % 2 else "ham") for i in range(40)]
    )


def refused_as(header: str, rows: list[Any]) -> str:
    Path("c.csv").write_text(header + "\n" + as_csv(["x", "y"], rows).partition("\n")[2])
    return refused("c.csv")


def test_quotes_without_quoting_are_noted_and_a_person_may_object(folder: Path, monkeypatch: pytest.MonkeyPatch):
    rows = [(f'"{t}' if i % 3 == 0 else f'{t}"' if i % 3 == 2 else t, y) for i, (t, y) in enumerate(PLAIN)]
    (folder / "a.tsv").write_text("text\tlabel\n" + "".join(f"{t}\t{y}\n" for t, y in rows))
    said = worked("a.tsv")
    assert "a.tsv: 80 rows, 2 columns" in said
    assert "note: a.tsv: quotes are read literally: every line then has 2 fields; as enclosing quotes" in said
    assert labelled(*prepared("a.yaml")) == Counter(rows)
    monkeypatch.setattr(init_module, "is_interactive", lambda: True)
    result = gendist("a.tsv", "--force", typed="n\n")
    assert "set the format with --quoting" in str(result.exception)


def test_a_column_that_stands_twice_is_not_guessed_about(folder: Path):
    (folder / "a.csv").write_text(as_csv(["text", "label", "text", "note"], [(t, y, "x", "y") for t, y in PLAIN]))
    assert refused("a.csv").startswith("a.csv: column 'text' occurs twice in the header; rename one")
    assert "column 'text' occurs twice" in refused("a.csv", "--text", "text", "--label", "label")
