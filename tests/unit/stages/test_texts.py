import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_stages import write_texts

from gendist.config.dataset_settings import Dataset
from gendist.errors import GendistError
from gendist.io.parquet import read_metadata
from gendist.stages.texts.prepare_texts import prepare_texts
from gendist.stages.texts.text_tables import read_texts

LABELS = ["sport", "art", "law"]
ROWS = [(f"title {i}", f"body {i}, with a comma", LABELS[i % 3]) for i in range(12)]
UNSEEN = [(f"test {i}", "body", LABELS[i % 3]) for i in range(6)]


def write(path, rows, columns=("title", "body", "label"), encoding="utf-8"):
    kind = path.suffix
    if kind in (".csv", ".tsv"):
        with path.open("w", newline="", encoding=encoding) as stream:
            writer = csv.writer(stream, delimiter="\t" if kind == ".tsv" else ",")
            writer.writerows([columns, *rows])
    elif kind == ".jsonl":
        lines = [json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) + "\n" for row in rows]
        path.write_text("".join(lines), encoding=encoding, newline="")
    else:
        pq.write_table(pa.table({c: [row[i] for row in rows] for i, c in enumerate(columns)}), path)
    return path


def dataset(train, test, **changed):
    values = {"text": "body", "train_per_class": 2, **changed}
    return Dataset(train=str(train), test=str(test), **values)


def prepare(folder, settings):
    targets = folder / "out" / "train.parquet", folder / "out" / "test.parquet"
    prepare_texts(settings, *targets)
    return tuple(map(read_texts, targets))


def refused(folder, settings, message):
    """Preparing ends in one line and leaves nothing behind."""
    with pytest.raises(GendistError, match=message) as caught:
        prepare(folder, settings)
    assert "\n" not in str(caught.value)
    assert not (folder / "out").exists()


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet", "CSV"])
def test_every_format(tmp_path, kind):
    files = write(tmp_path / f"train.{kind.lower()}", ROWS), write(tmp_path / f"test.{kind.lower()}", UNSEEN)
    if kind == "CSV":
        files = tuple(file.rename(file.with_suffix(".CSV")) for file in files)
    train, test = prepare(tmp_path, dataset(*files, train_per_class=None))
    assert train.texts == [body for _, body, _ in ROWS] and test.texts == ["body"] * 6
    assert train.ids.tolist() == list(range(12)) and train.label_names == sorted(LABELS) == test.label_names
    assert [train.label_names[label] for label in train.labels] == [label for *_, label in ROWS]


def test_files_of_the_contract(tmp_path):
    prepare(tmp_path, dataset(write(tmp_path / "a.csv", ROWS), write(tmp_path / "b.csv", UNSEEN)))
    table = pq.read_table(tmp_path / "out/train.parquet")
    assert table.schema.types == [pa.int64(), pa.string(), pa.int32()] and table.column_names == ["id", "text", "label"]
    stored = read_metadata(tmp_path / "out/train.parquet")
    assert stored["gendist"]["stage"] == "texts" and "synthetic" not in stored["gendist"]["settings"]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["test.parquet", "train.parquet"]


def test_columns_are_joined_and_empty_parts_left_out(tmp_path):
    rows = [("a", "b", "x"), ("", "c", "x"), (" d ", "", "y"), ("e", "f", "y")]
    files = write(tmp_path / "a.csv", rows), write(tmp_path / "b.csv", rows)
    train, _ = prepare(tmp_path, dataset(*files, text=["title", "body"], separator=" | "))
    assert train.texts == ["a | b", "c", "d", "e | f"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["b", "a", "B"], ["B", "a", "b"]),
        (["10", "9", "-1"], ["-1", "9", "10"]),
        (["2", "²", "1"], ["1", "2", "²"]),
        (["1", "1a", "--1"], ["--1", "1", "1a"]),
    ],
)
def test_order_of_label_names(tmp_path, labels, expected):
    rows = [("t", "b", label) for label in labels * 2]
    train, test = prepare(tmp_path, dataset(write(tmp_path / "a.csv", rows), write(tmp_path / "b.csv", rows)))
    assert train.label_names == expected == test.label_names


def test_given_label_names_are_kept_and_integers_mapped(tmp_path):
    rows = [("t", "b", label) for label in (2, 0, 1, 0, 1, 2)]
    files = write(tmp_path / "a.parquet", rows), write(tmp_path / "b.jsonl", rows)
    train, test = prepare(tmp_path, dataset(*files, label_names=["World", "Art", "Law"]))
    assert train.label_names == ["World", "Art", "Law"] and train.labels.tolist() == [2, 0, 1, 0, 1, 2]
    assert np.array_equal(train.labels, test.labels)
    with pytest.raises(ValueError, match="repeats a class"):
        dataset(*files, label_names=["World", "World"])


def test_integers_that_became_floats(tmp_path):
    rows = [("t", "b", label) for label in (2.0, 10.0) * 2]
    train, _ = prepare(tmp_path, dataset(write(tmp_path / "a.parquet", rows), write(tmp_path / "b.parquet", rows)))
    assert train.label_names == ["2", "10"]


def test_sampling_is_seeded_and_even(tmp_path):
    files = write(tmp_path / "a.csv", ROWS), write(tmp_path / "b.csv", UNSEEN)
    ids = {}
    for name, seed in (("one", 0), ("two", 0), ("other", 1)):
        train, test = prepare(tmp_path / name, dataset(*files, sample_seed=seed))
        ids[name] = train.ids.tolist()
        assert np.bincount(train.labels).tolist() == [2, 2, 2] and len(test.texts) == 6
        assert ids[name] == sorted(ids[name]) and train.texts == [ROWS[i][1] for i in ids[name]]
    assert ids["one"] == ids["two"] != ids["other"]
    one, two = (tmp_path / n / "out/train.parquet" for n in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_byte_order_mark_line_ends_and_unicode_separators(tmp_path, ending):
    lines = [
        "body,label",
        '"one\u2028two\u0085three",x',
        "four\u2029five,x",
        '"six, ""seven""",y',
        "eight\x1cnine,y",
        "",
    ]
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + ending.join(lines).encode())
    train, _ = prepare(tmp_path, dataset(tmp_path / "a.csv", tmp_path / "a.csv"))
    assert train.texts == ["one\u2028two\u0085three", "four\u2029five", 'six, "seven"', "eight\x1cnine"]
    (tmp_path / "a.jsonl").write_bytes(
        b"\xef\xbb\xbf" + "\r\n".join(f'{{"body": "a\u2028b", "label": "{n}"}}' for n in "xxyy").encode()
    )
    train, _ = prepare(tmp_path / "json", dataset(tmp_path / "a.jsonl", tmp_path / "a.jsonl"))
    assert train.texts == ["a\u2028b"] * 4


def test_line_breaks_in_quotes_do_not_shift_the_line_numbers(tmp_path):
    (tmp_path / "a.csv").write_text('body,label\n"one\ntwo",x\n\n   ,x\n')
    refused(tmp_path, dataset(tmp_path / "a.csv", tmp_path / "a.csv"), r"a\.csv, line 5: empty text \(column body\)")


X = "fine,x\n"
BROKEN = {
    "empty file": ("csv", b"", r"bad\.csv: empty file, expected column 'body'"),
    "header only": ("csv", b"body,label\n", r"bad\.csv: no rows"),
    "no column": ("csv", b"text,label\na,x\n", r"bad\.csv: no column 'body' \(has text, label\)"),
    "twin columns": ("csv", b"body,label,body\na,x,b\n", r"bad\.csv: column 'body' appears twice"),
    "empty text": ("csv", b"body,label\na,x\n  ,x\n", r"bad\.csv, line 3: empty text \(column body\)"),
    "empty label": ("csv", b"body,label\na,x\nb, \n", r"bad\.csv, line 3: empty label \(column 'label'\)"),
    "latin-1": ("csv", b"body,label\na,x\ncaf\xe9,x\n", r"bad\.csv: not UTF-8 near line 3; .*'encoding' may be cp1252"),
    "utf-16": (
        "csv",
        "body,label\n".encode("utf-16-le"),
        r"bad\.csv, line 1: contains a NUL .*'encoding' may be utf-16-le",
    ),
    "marked as utf-16": ("csv", b"\xff\xfea", r"bad\.csv: not UTF-16 near line 1"),
    "too many fields": ("csv", b"body,label\na, b,x\n", r"bad\.csv, line 2: 3 fields, the header has 2; quote"),
    "too few fields": ("csv", b"body,label\na,x\nb\n", r"bad\.csv, line 3: 1 fields, the header has 2"),
    "open quote": ("csv", b'body,label\na,x\n"b, c,x\n', r"bad\.csv, line 3: broken quoting"),
    "text after a quote": ("tsv", b'body\tlabel\n"a" b\tc\tx\n', r"bad\.tsv, line 2: broken quoting"),
    "bad JSON": ("jsonl", b'{"body": "a", "label": "x"}\n{"body": \n', r"bad\.jsonl, line 2: not valid JSON"),
    "deep JSON": ("jsonl", b"[" * 100_000, r"bad\.jsonl, line 1: not valid JSON"),
    "JSON list": ("jsonl", b"[1]\n", r"bad\.jsonl, line 1: expected a JSON object with body, label"),
    "no key": ("jsonl", b'{"text": "a", "label": "x"}\n', r"bad\.jsonl, line 1: no key 'body' \(has text, label\)"),
    "number for text": ("jsonl", b'{"body": 3, "label": "x"}\n', r"line 1: column 'body' contains int, expected text"),
    "list for label": ("jsonl", b'{"body": "a", "label": [1]}\n', r"line 1: label '\[1\]' .* is of type list"),
    "fraction for label": ("jsonl", b'{"body": "a", "label": 0.5}\n', r"line 1: label '0.5' .* is of type float"),
    "NaN for label": ("jsonl", b'{"body": "a", "label": NaN}\n', r"line 1: empty label"),
    "null for text": ("jsonl", b'{"body": null, "label": "x"}\n', r"line 1: empty text"),
    "half a character": ("jsonl", b'{"body": "\\ud800", "label": "x"}\n', r"line 1: text contains an unpaired"),
    "file type": ("xlsx", b"", r"bad\.xlsx: unknown file type '.xlsx'; accepted: .csv, .tsv, .jsonl, .parquet"),
    "not Parquet": ("parquet", b"PAR1 no", r"bad\.parquet: not a readable Parquet file"),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("split", ["train", "test"])
def test_broken_files(tmp_path, case, split):
    kind, content, message = BROKEN[case]
    (tmp_path / f"bad.{kind}").write_bytes(content)
    good = write(tmp_path / "good.csv", [("t", "b", label) for label in "xxyy"])
    files = {"train": good, "test": good, split: tmp_path / f"bad.{kind}"}
    refused(tmp_path, dataset(**files), message)


def test_truncated_parquet(tmp_path):
    good = write(tmp_path / "good.parquet", ROWS)
    content = good.read_bytes()
    (tmp_path / "cut.parquet").write_bytes(content[: len(content) * 2 // 3])
    refused(tmp_path, dataset(tmp_path / "cut.parquet", good), r"cut\.parquet: not a readable Parquet file")
    refused(tmp_path, dataset(good, good, text="title", label="topic"), r"good\.parquet: no column 'topic'")


@pytest.mark.parametrize(
    ("train", "test", "changed", "message"),
    [
        ("xxyyz", "xy", {}, r"train\.csv: label 'z' has 1 row\(s\); every class needs at least 2"),
        ("xxxyy", "xy", {"train_per_class": 3}, r"label 'y' has 2 rows, fewer than train_per_class = 3; lower it"),
        ("xxyy", "xyz", {}, r"test\.csv, line 4: label 'z' is unknown \(no training row has it; known: x, y\)"),
        (
            "xxyy",
            "xY",
            {},
            r"known: x, y\); 'y' differs from 'Y' in spelling only, the dataset's key 'labels' can merge",
        ),
        ("éézz", ["é", "e\u0301"], {}, r"; 'é' differs from 'e\\u0301' in spelling only, the dataset's key 'labels'"),
        ("xxxx", "xx", {}, r"train\.csv: only one class \(x\); a classifier needs two"),
        (
            "xxyy",
            "xy",
            {"label_names": ["x", "z"]},
            r"train\.csv, line 4: label 'y' is unknown \(not among label_names",
        ),
        ("xxyy", "xy", {"label_names": ["x", "y", "z"]}, r"label 'z' has 0 row\(s\)"),
        ("0011", "02", {"label_names": ["a", "b"]}, r"test\.csv, line 3: label '2' is unknown"),
    ],
)
def test_labels_that_do_not_fit(tmp_path, train, test, changed, message):
    files = [
        write(tmp_path / f"{n}.csv", [("t", "b", x) for x in rows]) for n, rows in (("train", train), ("test", test))
    ]
    refused(tmp_path, dataset(*files, **changed), message)


def test_missing_files(tmp_path):
    good = write(tmp_path / "good.csv", ROWS)
    refused(tmp_path, dataset(tmp_path / "no.csv", good), r"no\.csv: no such file \(key 'train' of the dataset\)")
    (tmp_path / "folder.csv").mkdir()
    refused(tmp_path, dataset(good, tmp_path / "folder.csv"), r"folder\.csv: is a folder, expected a file \(key 'test'")


def test_rows_in_both_files_are_warned_of(tmp_path, caplog):
    good = write(tmp_path / "good.csv", ROWS)
    prepare(tmp_path, dataset(good, good))
    assert f"6 of 12 test texts are training texts of {good} too: accuracy will be overestimated" in caplog.text


def test_texts_are_checked_when_read_back(tmp_path):
    for texts, labels, names, message in (
        (["x", "y"], [0, 2], ["a", "b"], "row 1 has label 2; label_names has 2 entries"),
        (["x"], [-1], ["a"], "row 0 has label -1"),
        ([], [], ["a"], "no rows"),
        (["x", None], [0, 0], ["a"], "'text' has empty cells"),
        (["x"], [0], [], "no label_names in the file's metadata"),
    ):
        with pytest.raises(GendistError, match=rf"t\.parquet: .*{message}"):
            read_texts(write_texts(tmp_path / "t.parquet", texts, labels, names))
    table = pq.read_table(write_texts(tmp_path / "t.parquet", ["x"], [0]))
    pq.write_table(pa.concat_tables([table, table]), tmp_path / "t.parquet")
    with pytest.raises(GendistError, match="id 10 occurs twice"):
        read_texts(tmp_path / "t.parquet")
