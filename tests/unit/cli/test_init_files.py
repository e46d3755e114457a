"""``gendist init``: from a file as people have it to a config that the study accepts."""

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from init_fixtures import PLAIN, as_csv, labelled, prepared, refused, table, worked

from gendist.cli.own_data.study_size import choose_study_size
from gendist.cli.own_data.text_rows import TextRows
from gendist.cli.own_data.train_test_split import train_test_split
from gendist.config import load_study
from gendist.stages.texts.similar_labels import normalise_text

pytestmark = pytest.mark.usefixtures("folder")

# --- files as people have them ---


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


# --- mistakes ---


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.xlsx",
            b"PK",
            "a.xlsx: unknown file type '.xlsx'; accepted: .csv, .tsv, .jsonl, .parquet; save the spreadsheet",
        ),
        ("a.json", b"[]", "a.json: unknown file type '.json'; accepted: .csv, .tsv, .jsonl, .parquet; write a .jsonl"),
        ("a.ndjson", b"{}", "a.ndjson: unknown file type '.ndjson'; accepted: .csv, .tsv, .jsonl, .parquet; rename it"),
        ("a.csv.gz", b"", "a.csv.gz: unknown file type '.gz'; accepted: .csv, .tsv, .jsonl, .parquet; decompress it"),
        ("a.csv", b"", "a.csv: no rows"),
        ("a.csv", b"text,label\n", "a.csv: no rows"),
        ("a.csv", b'text,label\n"open, and,x\n', "a.csv, line 2: broken quoting"),
        ("a.csv", b"text,label\na b,x\na b,x,y\n", "a.csv, line 3: 3 fields, the header has 2"),
        ("a.csv", b"text,label\na b,x,\n", "a.csv, line 2: 3 fields, the header has 2; the line ends with a delimiter"),
        (
            "a.csv",
            b"My export\n\ntext,label\na b,x\n",
            "a.csv, line 3: 2 fields, the header has 1; quote texts that contain the delimiter or a line break, or "
            "remove a title above the header",
        ),
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
