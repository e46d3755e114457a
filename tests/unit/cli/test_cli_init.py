"""``gendist init``: from a file as people have it to a config that the study accepts."""

import csv
import io
import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from gendist.cli import init as init_module
from gendist.cli.app import app
from gendist.cli.own_data.column_guess import guess_label, guess_text, make_columns
from gendist.cli.own_data.study_size import choose_study_size
from gendist.cli.own_data.text_rows import TextRows
from gendist.cli.own_data.train_test_split import train_test_split
from gendist.config import load_study
from gendist.errors import GendistError
from gendist.io.text_encodings import guess_encoding
from gendist.stages.texts.prepare_texts import prepare_texts
from gendist.stages.texts.prepare_unlabelled import prepare_unlabelled
from gendist.stages.texts.similar_labels import normalise_text
from gendist.stages.texts.text_tables import Texts, read_texts, read_unlabelled

LINE = "the harbour and a valley with clouds over that quiet mill where you hear how they sing to this day"
WORDS = LINE.split()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sentence(number: int, length: int = 9) -> str:
    chosen = random.Random(number).choices(WORDS, k=length)
    return f"{' '.join(chosen)} no {number}"


def table(counts: dict[Any, int]) -> list[tuple[str, Any]]:
    labels = [label for label, count in counts.items() for _ in range(count)]
    rows = [(sentence(i), label) for i, label in enumerate(labels)]
    random.Random(0).shuffle(rows)
    return rows


def as_csv(columns: list[str], rows: list[Any], delimiter: str = ",") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows([columns, *rows])
    return out.getvalue()


def gendist(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(app, ["init", *arguments], input=typed)


def worked(*arguments: str) -> str:
    result = gendist(*arguments)
    assert result.exception is None, (result.output, result.exception)
    return result.output


def refused(*arguments: str) -> str:
    result = gendist(*arguments)
    assert isinstance(result.exception, GendistError), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


def prepared(config: str) -> tuple[Texts, Texts]:
    """What the study makes of the config."""
    ((_, dataset),) = load_study(Path(config)).datasets.items()
    prepare_texts(dataset, Path("out/train.parquet"), Path("out/test.parquet"))
    return read_texts(Path("out/train.parquet")), read_texts(Path("out/test.parquet"))


def labelled(*parts: Texts) -> Counter:
    pairs = ((part, *pair) for part in parts for pair in zip(part.texts, part.labels, strict=True))
    return Counter((text, part.label_names[label]) for part, text, label in pairs)


# --- files as people have them ---

PLAIN = table({"sea": 40, "sky": 40})
MESSY = {
    "quotes": ["text", "label", [(f'he said "{t}", twice', y) for t, y in PLAIN]],
    "newlines": ["text", "label", [(f"{t}\nand more\r\nof it", y) for t, y in PLAIN]],
    "emoji": ["text", "label", [(f"{t} 😂🏳️‍🌈 ñ", y) for t, y in PLAIN]],
    "integer labels": ["text", "label", table({0: 30, 1: 30, 10: 30})],
    "uneven": ["text", "label", table({"sea": 400, "sky": 20})],
    "formulas": ["text", "label", [(f"=cmd|{t}", y) for t, y in PLAIN]],
    "label in two words": ["body", "topic", table({"the sea: all": 30, "#sky 'n' {air}": 30})],
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("kind", MESSY)
def test_a_messy_csv_becomes_a_study_with_its_rows(folder: Path, kind: str, delimiter: str, encoding: str):
    text, label, rows = MESSY[kind]
    if encoding in ("cp1252", "latin-1"):
        rows = [(f"café, {t.encode('latin-1', 'ignore').decode('latin-1')}", y) for t, y in rows]
    numbered = [(i, t, y, "constant") for i, (t, y) in enumerate(rows)]
    content = as_csv(["", text, label, "source"], numbered, delimiter).encode(encoding)
    (folder / "my data.csv").write_bytes(content)
    said = worked("my data.csv")
    assert f"text:  column '{text}'" in said and f"label: column '{label}'" in said
    assert "gendist run my-data.yaml" in said
    assert (folder / "my data.csv").read_bytes() == content
    train, test = prepared("my-data.yaml")
    assert labelled(train, test) == Counter((t.strip(), str(y)) for t, y in rows)
    assert set(train.labels) == set(test.labels) == set(range(len({y for _, y in rows})))


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "tsv"])
def test_other_kinds_of_files(folder: Path, kind: str):
    rows = table({3: 25, 4: 25})
    path = folder / f"rows.{kind}"
    if kind == "jsonl":
        lines = [json.dumps({"id": i, "text": t, "label": y}) for i, (t, y) in enumerate(rows)]
        path.write_text("\n".join([*lines, json.dumps({"id": 50, "text": "no label at all"})]))
    elif kind == "parquet":
        values = {"id": range(51), "text": [*(t for t, _ in rows), None], "label": [*(float(y) for _, y in rows), 3.0]}
        pq.write_table(pa.table({k: list(v) for k, v in values.items()}), path)
    else:
        path.write_text(as_csv(["id", "text", "label"], [(i, *row) for i, row in enumerate([*rows, ("", 3)])], "\t"))
    said = worked(str(path))
    assert f"left out 1 row(s): empty {'label' if kind == 'jsonl' else 'text'}" in said
    assert labelled(*prepared("rows.yaml")) == Counter((t, str(y)) for t, y in rows)


def test_several_text_columns_are_joined(folder: Path):
    rows = [(f"title {i}", t, y) for i, (t, y) in enumerate(PLAIN)]
    (folder / "a.csv").write_text(as_csv(["title", "body", "label"], rows))
    worked("a.csv", "--text", "title", "--text", "body")
    assert labelled(*prepared("a.yaml")) == Counter((f"{a} {b}", y) for a, b, y in rows)


def test_given_test_rows_are_used_and_clean_files_stay_where_they_are(folder: Path):
    for name, rows in (("train", PLAIN[:60]), ("test", PLAIN[60:])):
        content = as_csv(["text", "label"], [(f"{t} é", y) for t, y in rows], ";")
        (folder / f"{name}.csv").write_bytes(content.encode("cp1252"))
    said = worked("train.csv", "--test", "test.csv", "--name", "mine")
    assert "Written: mine.yaml\n" in said and not (folder / "data").exists()
    config = yaml.safe_load((folder / "mine.yaml").read_text())["datasets"]["mine"]
    assert (config["train"], config["test"], config["encoding"]) == ("train.csv", "test.csv", "cp1252")
    train, test = prepared("mine.yaml")
    assert train.texts == [f"{t} é" for t, _ in PLAIN[:60]] and len(test.texts) == 20


def test_test_rows_that_the_study_would_refuse_are_left_out(folder: Path):
    (folder / "train.csv").write_text(as_csv(["text", "label"], PLAIN[:60]))
    odd = [*PLAIN[60:], ("a new class of words", "moon"), ("", "sea"), PLAIN[0]]
    (folder / "test.csv").write_text(as_csv(["text", "label"], odd))
    said = worked("train.csv", "--test", "test.csv", "--name", "mine")
    assert "test.csv: left out 1 row(s): class 'moon' has no training row (line 22)" in said
    assert "test.csv: left out 1 row(s): empty text (line 23)" in said
    assert "1 test row(s) also occur in the training file (line 24 of test.csv is line 2 of train.csv" in said
    train, test = prepared("mine.yaml")
    assert (len(train.texts), len(test.texts)) == (60, 21)


# --- the split ---


def rows_of(pairs: list[tuple[str, str]]) -> TextRows:
    numbers = list(range(2, 2 + len(pairs)))
    return TextRows("a.csv", "line", numbers, [[text] for text, _ in pairs], [label for _, label in pairs])


def test_the_split_is_by_class_and_the_same_every_time():
    rows = rows_of(table({"a": 1000, "b": 100, "c": 20, "d": 4, "e": 2}))
    train, test = train_test_split(rows)
    assert sorted([*train, *test]) == list(range(len(rows)))
    assert rows.take(test).counts == {"a": 200, "b": 20, "c": 6, "d": 1}
    assert train_test_split(rows) == (train, test)


def test_many_rows_give_no_more_test_rows_than_needed():
    rows = rows_of([(f"text {i}", "ab"[i % 2]) for i in range(60_000)])
    assert len(train_test_split(rows)[1]) == 5000


@settings(max_examples=60, deadline=None)
@given(pairs=st.lists(st.tuples(st.sampled_from(["x y", "X  y", "z", "\uff3a ", *"uvwqr"]), st.sampled_from("ab"))))
def test_no_text_stands_on_both_sides_and_every_class_keeps_training_rows(pairs: list[tuple[str, str]]):
    rows = rows_of(pairs)
    train, test = train_test_split(rows)
    sides = [{normalise_text(rows.texts[i]) for i in side} for side in (train, test)]
    assert not sides[0] & sides[1]
    left = rows.take(train).counts
    assert all(left[label] >= min(2, count) for label, count in rows.counts.items())


# --- what it warns of ---


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
    monkeypatch.setattr(init_module, "_is_interactive", lambda: True)
    result = gendist("a.tsv", "--force", typed="n\n")
    assert "set the format with --quoting" in str(result.exception)


def test_a_column_that_stands_twice_is_not_guessed_about(folder: Path):
    (folder / "a.csv").write_text(as_csv(["text", "label", "text", "note"], [(t, y, "x", "y") for t, y in PLAIN]))
    assert refused("a.csv").startswith("a.csv: column 'text' occurs twice in the header; rename one")
    assert "column 'text' occurs twice" in refused("a.csv", "--text", "text", "--label", "label")


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
    monkeypatch.setattr(init_module, "_is_interactive", lambda: True)
    result = gendist("a.csv", typed="\nnone\n3\n")
    assert result.exception is None, result.output
    assert "  2. 'place': 2 classes: " in result.output and "'none' is not a column." in result.output
    assert load_study(Path("a.yaml")).datasets["a"].label == "mood"


# --- mistakes ---


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.xlsx",
            b"PK",
            "a.xlsx: unknown file type '.xlsx'; accepted: .csv, .tsv, .jsonl, .parquet; save the spreadsheet",
        ),
        ("a.csv", b"", "a.csv: no rows"),
        ("a.csv", b"text,label\n", "a.csv: no rows"),
        ("a.csv", b'text,label\n"open, and,x\n', "a.csv, line 2: broken quoting"),
        ("a.csv", b"text,label\na b,x\na b,x,y\n", "a.csv, line 3: 3 fields, the header has 2"),
        ("a.csv", as_csv(["text", "label"], table({"sea": 30})).encode(), "a.csv: no column looks like the label"),
        ("a.parquet", b"not it", "a.parquet: not a readable Parquet file"),
    ],
)
def test_files_that_cannot_be_used_end_in_one_line(folder: Path, name: str, content: bytes, message: str):
    (folder / name).write_bytes(content)
    assert refused(name).startswith(message)


def test_a_missing_file_and_bad_options_end_in_one_line(folder: Path):
    assert refused("none.csv") == "none.csv: no such file"
    (folder / "a.csv").write_text(as_csv(["text", "label"], PLAIN))
    assert "--encoding 'utf-9' is unknown" in refused("a.csv", "--encoding", "utf-9")
    assert "--name 'a b' is not accepted" in refused("a.csv", "--name", "a b")
    assert "needs two classes" in refused("a.csv", "--text", "label", "--label", "text")


def test_nothing_is_overwritten_without_force(folder: Path):
    (folder / "a.csv").write_text(as_csv(["text", "label"], PLAIN))
    worked("a.csv")
    before = (folder / "a.yaml").read_bytes()
    (folder / "a.yaml").write_text("mine")
    assert refused("a.csv") == "a.yaml: exists; use --force to overwrite it, or another --name or --out"
    assert (folder / "a.yaml").read_text() == "mine"
    worked("a.csv", "--force")
    assert (folder / "a.yaml").read_bytes() == before  # the same input gives the same bytes
    assert "would overwrite your own file" in refused("data/a-train.csv", "--name", "a", "--force")


def test_the_config_goes_where_it_is_wanted_with_its_rows_beside_it(folder: Path):
    (folder / "a.csv").write_text(as_csv(["text", "label"], PLAIN))
    said = worked("a.csv", "--out", "studies/b.yaml")
    assert "gendist run studies/b.yaml" in said
    dataset = load_study(Path("studies/b.yaml")).datasets["b"]
    assert (dataset.train, dataset.test) == ("studies/data/b-train.csv", "studies/data/b-test.csv")
    assert labelled(*prepared("studies/b.yaml")) == Counter(PLAIN)


# --- the config ---


def test_every_line_of_the_config_is_explained_and_numbered_classes_may_be_named(folder: Path):
    (folder / "a.csv").write_text(as_csv(["text", "label"], table({0: 30, 1: 30})))
    worked("a.csv")
    lines = (folder / "a.yaml").read_text().splitlines()
    bare = [line for line in lines if line.strip() and "#" not in line]
    assert bare == ["datasets:", "    train_per_class: null"]
    assert "    # label_names: [name-of-0, name-of-1], to name the numbered classes" in lines


@pytest.mark.parametrize(
    ("counts", "per_class", "synthetic"),
    [
        ({"a": 20, "b": 30}, None, 1000),
        ({"a": 300, "b": 300}, None, 1500),
        ({str(i): 50 for i in range(10)}, None, 2500),
        ({"a": 20_000, "b": 3000}, 2500, 5000),
        ({"a": 20_000, "b": 30}, None, 5000),
    ],
)
def test_sizes_follow_from_the_rows(counts: dict[str, int], per_class: int | None, synthetic: int):
    size = choose_study_size(counts)
    assert (size.train_per_class, size.synthetic) == (per_class, synthetic)


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


# --- rows without labels ---


def unlabelled_of(config: str) -> tuple[int, list[str]]:
    """The number of unlabelled rows that the config asks for, and what the study draws."""
    prepared(config)
    ((_, dataset),) = load_study(Path(config)).datasets.items()
    prepare_unlabelled(dataset, Path("out/train.parquet"), Path("out/test.parquet"), Path("out/unlabelled.parquet"))
    return dataset.n_unlabelled, read_unlabelled(Path("out/unlabelled.parquet"))[1]


def test_a_file_of_rows_without_labels_joins_the_study(folder: Path):
    (folder / "a.csv").write_text(as_csv(["text", "label"], PLAIN))
    rows = [("x", sentence(9000 + i)) for i in range(30)] + [("y", PLAIN[0][0].upper()), ("z", " ")]
    (folder / "more.csv").write_text(as_csv(["note", "text"], rows, ";"))
    said = worked("a.csv", "--unlabelled", "more.csv", "--yes")
    assert "unlabelled: 30 rows" in said and "data/a-unlabelled.csv" in said
    assert "note: more.csv, without labels: left out 1 row(s): empty text (line 33)" in said
    assert unlabelled_of("a.yaml")[0] == 30
    assert sorted(unlabelled_of("a.yaml")[1]) == sorted(text for _, text in rows[:30])


def test_rows_whose_label_is_empty_are_offered_where_there_are_many(folder: Path, monkeypatch: pytest.MonkeyPatch):
    rows = [(sentence(9000 + i), "") for i in range(120)]
    (folder / "a.csv").write_text(as_csv(["text", "label"], [*PLAIN, *rows]))
    said = worked("a.csv", "--yes")
    assert "unlabelled: 120 rows" in said and "empty label" not in said
    assert unlabelled_of("a.yaml")[0] == 120
    monkeypatch.setattr(init_module, "_is_interactive", lambda: True)
    options = ["a.csv", "--text", "text", "--label", "label", "--force"]
    asked = gendist(*options, typed="n\n")
    assert asked.exception is None and "120 rows have a text but no label" in asked.output
    assert "left out 120 row(s): empty label" in asked.output and "unlabelled:" not in Path("a.yaml").read_text()
    assert "unlabelled: data/a-unlabelled.csv" in (gendist(*options, typed="\n"), Path("a.yaml").read_text())[1]


def test_a_few_rows_without_a_label_are_left_out(folder: Path):
    (folder / "a.csv").write_text(as_csv(["text", "label"], [*PLAIN, ("no label here", "")]))
    assert "note: left out 1 row(s): empty label" in worked("a.csv", "--yes")
    assert "unlabelled" not in Path("a.yaml").read_text()


def test_files_of_rows_without_labels_that_cannot_be_used_end_in_one_line(folder: Path):
    (folder / "a.csv").write_text(as_csv(["text", "label"], PLAIN))
    for content, message in (
        (as_csv(["body"], [("some text here",)]), "more.csv: no column 'text' (has 'body')"),
        (as_csv(["text"], [(PLAIN[3][0],)]), "more.csv: no row with a text that is not among the labelled ones"),
    ):
        (folder / "more.csv").write_text(content)
        assert refused("a.csv", "--unlabelled", "more.csv", "--yes") == message
        assert not Path("a.yaml").exists()
