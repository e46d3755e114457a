"""Predictions of an exported student: the command."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prediction_texts import TEXTS
from toy_texts import NAMES
from typer.testing import CliRunner, Result

from gendist.cli.app import app
from gendist.errors import GendistError
from gendist.predict.classifier import TextClassifier


def predict(*arguments: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["predict", *map(str, arguments)], input=stdin)


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t" if path.suffix == ".tsv" else ","))


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".txt":
        path.write_text("".join(row["text"] + "\n" for row in rows))
    else:
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


@pytest.mark.parametrize("given", [".csv", ".tsv", ".jsonl", ".parquet", ".txt"])
@pytest.mark.parametrize("wanted", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_format_gives_the_same_rows_in_order(
    exported: Path, classifier: TextClassifier, tmp_path: Path, given: str, wanted: str
):
    source = write(tmp_path / f"in{given}", [{"id": i, "text": text} for i, text in enumerate(TEXTS)])
    result = predict(exported, source, "-o", tmp_path / f"out{wanted}", "--batch", 7)
    assert result.exit_code == 0, result.output
    found = read(tmp_path / f"out{wanted}")
    assert [int(row["row"]) for row in found] == list(range(60))
    assert [row["label"] for row in found] == classifier.predict(TEXTS).tolist()
    shares = classifier.predict_proba(TEXTS).max(1)
    np.testing.assert_allclose([float(row["probability"]) for row in found], shares, atol=2e-6)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([source.name, f"out{wanted}"])


def test_lines_of_the_standard_input_and_every_class(exported: Path, classifier: TextClassifier):
    result = predict(exported, "--all", stdin="the wave\n\nthe crescent\u2028moon\r\nlast".encode())
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    texts = ["the wave", "", "the crescent\u2028moon", "last"]
    assert [row["label"] for row in rows] == classifier.predict(texts).tolist()
    shares = [[float(row[f"probability_{name}"]) for name in NAMES] for row in rows]
    np.testing.assert_allclose(shares, classifier.predict_proba(texts), atol=2e-6)


@pytest.mark.parametrize("wanted", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("given", [".jsonl", ".parquet"])
def test_a_missing_text_has_no_label_and_a_blank_one_has(exported: Path, tmp_path: Path, given: str, wanted: str):
    texts = [None, "the wave", "", None]
    source = write(tmp_path / f"in{given}", [{"text": text} for text in texts])
    assert predict(exported, source, "--all", "-o", tmp_path / f"out{wanted}").exit_code == 0
    rows = read(tmp_path / f"out{wanted}")
    assert [bool(row["label"]) for row in rows] == [False, True, True, False]
    if wanted == ".jsonl":
        assert rows[0] == {"row": 0, "label": None, "probability": None, "probabilities": None}
        assert list(rows[1]["probabilities"]) == NAMES
    else:
        assert not any(rows[0][f"probability_{name}"] for name in NAMES)


def test_columns_are_joined_as_in_training(exported: Path, classifier: TextClassifier, tmp_path: Path):
    source = write(tmp_path / "in.csv", [{"title": " the wave ", "body": "fish tide"}, {"title": "", "body": "moon"}])
    result = predict(exported, source, "--text", "title", "--text", "body", "-o", tmp_path / "out.jsonl")
    assert result.exit_code == 0, result.output
    expected = classifier.predict_proba(["the wave fish tide", "moon"]).max(1)
    np.testing.assert_allclose([row["probability"] for row in read(tmp_path / "out.jsonl")], expected, atol=2e-6)


def test_the_only_column_is_the_text_s(exported: Path, tmp_path: Path):
    source = write(tmp_path / "in.csv", [{"body": "the wave"}])
    assert len(predict(exported, source).stdout.splitlines()) == 2


@pytest.mark.parametrize("wanted", [".csv", ".tsv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("given", [".csv", ".jsonl", ".parquet"])
def test_columns_of_the_input_are_kept(exported: Path, tmp_path: Path, given: str, wanted: str):
    rows = [{"ticket": "T-1", "text": "the wave", "label": "a, b"}, {"ticket": "T-2", "text": "the moon", "label": "c"}]
    source, out = write(tmp_path / f"in{given}", rows), tmp_path / f"out{wanted}"
    assert predict(exported, source, "--keep", "ticket", "-o", out).exit_code == 0
    assert [(list(row)[:3], row["ticket"], row["label"]) for row in read(out)] == [
        (["row", "ticket", "label"], "T-1", "sea"),
        (["row", "ticket", "label"], "T-2", "sky"),
    ]
    assert predict(exported, source, "--keep", "all", "-o", out).exit_code == 0
    found = read(out)
    assert list(found[0]) == ["row", "ticket", "text", "input_label", "label", "probability"]
    assert [row["input_label"] for row in found] == ["a, b", "c"] and [row["label"] for row in found] == ["sea", "sky"]
    refusal = predict(exported, source, "--keep", "none", "-o", out).exception
    assert re.search(r"no column 'none' \(has ticket, text, label\)", str(refusal))


def test_what_is_no_text_is_kept_as_json(exported: Path, tmp_path: Path):
    rows = [{"text": "the wave", "id": 7, "tags": ["a"]}, {"text": "the moon", "id": None}]
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    kept = ("--keep", "id", "--keep", "tags")
    assert predict(exported, source, *kept, "-o", tmp_path / "out.jsonl").exit_code == 0
    found = read(tmp_path / "out.jsonl")
    assert [(row["id"], row["tags"]) for row in found] == [(7, ["a"]), (None, None)]
    assert predict(exported, source, *kept, "-o", tmp_path / "out.csv").exit_code == 0
    assert [(row["id"], row["tags"]) for row in read(tmp_path / "out.csv")] == [("7", '["a"]'), ("", "")]
    result = predict(exported, "--keep", "id", stdin=b"the wave\n")
    assert "standard input: a text file has no columns for --keep" in str(result.exception)


def test_dates_and_decimals_are_kept_as_they_are_written(exported: Path, tmp_path: Path):
    table = {"text": ["the wave"], "day": [date(2024, 1, 2)], "price": [Decimal("1.50")], "paid": [True], "n": [7]}
    pq.write_table(pa.table(table), tmp_path / "in.parquet")
    for suffix in ("csv", "parquet"):
        out = tmp_path / f"out.{suffix}"
        assert predict(exported, tmp_path / "in.parquet", "-o", out, "--keep", "all", "--keep", "day").exit_code == 0
        (row,) = read(out)
        assert [row[name] for name in table] == ["the wave", "2024-01-02", "1.50", "true", "7"]


def test_numbers_that_json_lacks_are_null(exported: Path, tmp_path: Path):
    (tmp_path / "in.jsonl").write_text('{"text": "sea", "a": NaN, "b": {"c": [Infinity, 1]}}\n')
    for suffix, wanted in (("jsonl", (None, {"c": [None, 1]})), ("csv", ("", '{"c": [null, 1]}'))):
        out = tmp_path / f"out.{suffix}"
        assert predict(exported, tmp_path / "in.jsonl", "-o", out, "--keep", "all").exit_code == 0
        (row,) = read(out)
        assert (row["a"], row["b"]) == wanted and "NaN" not in out.read_text()


def test_a_carriage_return_in_a_text_ends_no_row(exported: Path, tmp_path: Path):
    (tmp_path / "in.jsonl").write_text('{"text": "sea\\rsky"}\n')
    result = predict(exported, tmp_path / "in.jsonl", "--texts")
    (row,) = csv.DictReader(io.StringIO(result.stdout, newline=""))
    assert row["text"] == "sea\rsky"


def test_standard_output_is_utf_8_in_any_locale(exported: Path, tmp_path: Path):
    (tmp_path / "in.jsonl").write_text('{"text": "sea 😂"}\n', encoding="utf-8")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "gendist",
            "predict",
            exported,
            tmp_path / "in.jsonl",
            "--texts",
        ],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
    )
    assert done.stdout.decode().splitlines()[1].endswith(",sea 😂"), done.stderr


def test_a_column_is_joined_once(exported: Path, tmp_path: Path):
    (tmp_path / "in.csv").write_text("text,label\nsea,a\n")
    result = predict(exported, tmp_path / "in.csv", "--text", "text", "--text", "text")
    assert str(result.exception) == "--text repeats a column: text, text"


@pytest.mark.parametrize("wanted", [".csv", ".jsonl"])
def test_a_row_below_the_threshold_has_a_probability_and_no_label(exported: Path, tmp_path: Path, wanted: str):
    source, out = write(tmp_path / "in.csv", [{"text": text} for text in [*TEXTS, ""]]), tmp_path / f"out{wanted}"
    assert predict(exported, source, "-o", out).exit_code == 0
    shares = sorted(float(row["probability"]) for row in read(out))
    assert predict(exported, source, "--all", "--threshold", shares[5], "-o", out).exit_code == 0
    found = read(out)
    assert sum(not row["label"] for row in found) == 5
    assert all(bool(row["label"]) == (float(row["probability"]) >= shares[5]) for row in found)
    if wanted == ".jsonl":
        assert all(len(row["probabilities"]) == 3 for row in found)
    assert predict(exported, source, "--threshold", 2, "-o", out).exit_code == 2


def test_a_long_file_shows_how_far_it_is(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    from gendist.predict import predict_file
    from gendist.predict.text_source import TextSource

    source = write(tmp_path / "in.txt", [{"text": text} for text in TEXTS])
    classifier = TextClassifier.load(exported)
    predict_file.predict_file(
        classifier, TextSource(str(source), None, ["text"]), str(tmp_path / "a.csv"), all_classes=False, chunk=20
    )
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(predict_file, "LOG_INTERVAL", 0)
    predict_file.predict_file(
        classifier, TextSource(str(source), None, ["text"]), str(tmp_path / "a.csv"), all_classes=False, chunk=20
    )
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" rows, ")[0] for line in lines] == ["20", "40", "60"]


def test_options_say_how_a_file_is_read(exported: Path, tmp_path: Path):
    for content, arguments, rows in (
        ("id^text\n1^the wave\n", ["--delimiter", "^"], 1),
        ("id;text\n1;the wave\n", [], 1),
        ('text\n"the wave\nthe moon"\n', ["--quoting", "none"], 2),
        ("the wave\nthe moon\n", ["--no-header"], 2),
        ("1;the wave\n2;the moon\n", ["--no-header", "--text", "2"], 2),
    ):
        (tmp_path / "in.csv").write_text(content)
        result = predict(exported, tmp_path / "in.csv", *arguments)
        assert result.exit_code == 0 and len(result.stdout.splitlines()) == 1 + rows, (content, result.exception)
    assert "--delimiter '::' is not accepted" in str(
        predict(exported, tmp_path / "in.csv", "--delimiter", "::").exception
    )


def test_byte_order_marks_and_other_encodings(exported: Path, tmp_path: Path):
    for name, content, arguments in (
        ("bom.csv", "\ufefftext\nthe wave\n".encode(), []),
        ("utf16.csv", "text\nthe wave\n".encode("utf-16"), ["--encoding", "utf-16"]),
        ("latin.csv", "text\nthe café\n".encode("latin-1"), ["--encoding", "latin-1"]),
    ):
        (tmp_path / name).write_bytes(content)
        result = predict(exported, tmp_path / name, *arguments)
        assert result.exit_code == 0 and len(result.stdout.splitlines()) == 2, (name, result.exception)


@pytest.mark.parametrize(
    ("name", "content", "arguments", "message"),
    [
        ("in.csv", None, [], r"in\.csv: no such file"),
        ("in.doc", b"", [], r"in\.doc: unknown file type '\.doc'; accepted: csv, tsv"),
        ("in.csv", b"a,b\n1,2\n", [], r"in\.csv: no column 'text' \(has a, b\); name the text column with --text"),
        ("in.csv", b"", [], r"in\.csv: empty file, expected column 'text'"),
        ("in.csv", b"text,b\nx,y\nx\n", [], r"in\.csv, line 3: 1 fields, the header has 2"),
        ("in.csv", b'text\n"open\n', [], r"in\.csv, line 2: broken quoting"),
        (
            "in.csv",
            ("text\n" + "a\n" * 9 + "café\n").encode("latin-1"),
            [],
            r"in\.csv: not UTF-8 near line 11; --encoding may be cp1252",
        ),
        ("in.csv", b"text\na\n", ["--encoding", "klingon"], "encoding 'klingon' is unknown"),
        ("in.jsonl", b'{"text": "a"}\n{"text": \n', [], r"in\.jsonl, line 2: not valid JSON"),
        ("in.jsonl", b'{"text": "a"}\n3\n', [], r"in\.jsonl, line 2: expected a JSON object"),
        ("in.jsonl", b'{"text": "a"}\n{"text": 3}\n', [], r"in\.jsonl, line 2: the text is of type int"),
        ("in.jsonl", b'{"text": "\\ud800"}\n', [], r"in\.jsonl, row 0: text contains an unpaired surrogate"),
        ("in.parquet", b"PAR1", [], r"in\.parquet: not a readable Parquet file"),
        ("in.csv", b"text\na\n", ["--format", "xml"], "format 'xml' is unknown; accepted: csv"),
        ("in.csv", b"text\na\n", ["-o", "out.xlsx"], r"out\.xlsx: unknown file type"),
    ],
)
def test_mistakes_end_in_one_line_and_leave_no_file(
    exported: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: bytes | None,
    arguments: list[str],
    message: str,
):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    result = predict(exported, name, "-o", "out.csv", "--batch", 1, *arguments)
    assert isinstance(result.exception, GendistError) and re.search(message, str(result.exception))
    assert "\n" not in str(result.exception) and result.stdout == ""
    assert {file.name for file in tmp_path.iterdir()} == ({name} if content is not None else set())


def test_the_source_is_not_overwritten(exported: Path, tmp_path: Path):
    source = write(tmp_path / "in.csv", [{"text": "the wave"}])
    result = predict(exported, source, "-o", source)
    assert "is the input and cannot be the output" in str(result.exception)
    assert source.read_text().startswith("text")


def test_a_file_is_read_as_its_rows_are_written(exported: Path, tmp_path: Path):
    """The rows before a mistake have come out when it is met: nothing waits for the end of the input."""
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "the wave"}\n' * 5 + "broken\n")
    result = predict(exported, source, "--batch", 2)
    assert "line 6" in str(result.exception)
    assert len(result.stdout.splitlines()) == 1 + 4
