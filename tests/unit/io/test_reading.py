"""One reader: what `gendist init`, a study and `gendist predict` make of the same file of somebody's own."""

import csv
import io
import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gendist.config.dataset_settings import OMITTED_DEFAULTS, Dataset
from gendist.errors import GendistError
from gendist.io.delimited_files import ReadOptions, open_delimited, row_writer
from gendist.io.text_encodings import guess_encoding, text_file
from gendist.predict.predict_file import predict_file
from gendist.predict.text_reader import TextSource
from gendist.stages.texts.labelled_rows import read_labelled_rows
from gendist.stages.texts.raw_rows import read_rows

ROWS = [
    ("0", "The match was won at home", "sport"),
    ("1", "The minister resigned, at last", "politics"),
    ("2", "A goal in the last minute; cheers", "sport"),
    ("3", "Both houses | voted against it", "politics"),
]
TEXTS = [text for _, text, _ in ROWS]


class Echo:
    """A classifier whose label is the text, as long as it is short: what was read shows in the output."""

    classes_ = np.array([f"class {number}" for number in range(40)])
    seen: list[str]

    def __init__(self) -> None:
        self.seen = []

    def predict_proba(self, texts: list[str]) -> np.ndarray:
        self.seen += texts
        shares = np.full((len(texts), 40), 0.1 / 39)
        shares[np.arange(len(texts)), np.arange(len(texts)) % 40] = 0.9
        return shares


def predicted(path: Path | str, training_columns: tuple[str, ...] = ("text",), **options: Any) -> list[str]:
    """The texts that `gendist predict` labels."""
    echo = Echo()
    reading = {key: options.pop(key) for key in ("encoding", "delimiter", "quoting", "header") if key in options}
    source = TextSource(
        str(path),
        options.pop("columns", None),
        training_columns,
        reading=ReadOptions(**{"header": None, **reading}),
        **options,
    )
    predict_file(echo, source, str(Path(path).parent / "out.csv"), all_classes=False, chunk=3)  # type: ignore[arg-type]
    return echo.seen


def studied(path: Path, **changed: Any) -> list[str]:
    """The training texts of a study, read by `run`."""
    settings = Dataset(**{"train": str(path), "test": str(path), "train_per_class": None, **changed})
    train, _, _ = read_labelled_rows(settings)
    return train.texts


def table(delimiter: str, header: tuple[str, ...] = ("id", "text", "label")) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows([header, *ROWS] if header else ROWS)
    return out.getvalue()


# --- delimiter ---


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize("first", ["", "sep={}\r\n", '"sep={}"\n'])
def test_all_readers_find_the_same_columns(tmp_path: Path, delimiter: str, suffix: str, first: str):
    file = tmp_path / f"a{suffix}"
    file.write_text(first.format(delimiter) + table(delimiter), newline="")
    assert predicted(file) == studied(file) == read_rows(file, None).columns["text"] == TEXTS
    assert read_rows(file, None).numbers == ([3, 4, 5, 6] if first else [2, 3, 4, 5])


def test_a_delimiter_that_is_named_is_taken(tmp_path: Path):
    file = tmp_path / "a.csv"
    file.write_text(table("^"))
    with pytest.raises(
        GendistError, match=r"no column 'text' \(has 'id\^text\^label'\); name the delimiter with --delimiter"
    ):
        predicted(file)
    assert predicted(file, delimiter="^") == studied(file, delimiter="^") == TEXTS


def test_a_header_does_not_outvote_the_lines_below_it(tmp_path: Path):
    (tmp_path / "a.csv").write_text("text, as written, in full;label\nyes;a\nno;b\nmaybe;a\n")
    assert list(read_rows(tmp_path / "a.csv", None).columns) == ["text, as written, in full", "label"]


# --- encoding ---


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le"])
@pytest.mark.parametrize("said", ["utf-8", "cp1252", "utf-16-le"])
def test_a_byte_order_mark_outweighs_what_is_said(tmp_path: Path, encoding: str, said: str):
    file = tmp_path / "a.csv"
    mark = "\ufeff" if encoding == "utf-16-le" else ""
    file.write_bytes((mark + table(",").replace("match", "mätch")).encode(encoding))
    wanted = [text.replace("match", "mätch") for text in TEXTS]
    assert predicted(file, encoding=said) == studied(file, encoding=said) == wanted


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("text\nthe café\n".encode("cp1252"), "not UTF-8 near line 2; {} may be cp1252"),
        ("text\nthe café\n".encode("utf-16-le"), "may be utf-16-le"),
    ],
)
def test_another_encoding_is_named_with_the_line_and_what_to_set(tmp_path: Path, content: bytes, found: str):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(GendistError, match=found.format("--encoding")):
        predicted(tmp_path / "a.csv")
    with pytest.raises(GendistError, match=found.format("the dataset's key 'encoding'")):
        studied(tmp_path / "a.csv")


def test_damaged_utf_8_is_not_read_as_another_encoding():
    text = "the café of the Müller family\n" * 3
    assert guess_encoding(text.encode() + b"Zo\xe9\n") == guess_encoding(text.encode()[:-30] + b"\xc3") == "utf-8"
    assert guess_encoding(text.encode("cp1252")) == "cp1252"


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\x1f\x8b\x08\x00", "a gzip file; decompress it"),
        (b"PK\x03\x04", "a ZIP archive or a spreadsheet; extract it, or save the spreadsheet as CSV"),
        (b"PAR1\x15\x04", "a Parquet file; give it the suffix .parquet"),
    ],
)
def test_binary_files_are_no_text(tmp_path: Path, start: bytes, kind: str):
    (tmp_path / "a.csv").write_bytes(start + bytes(range(256)))
    for read in (predicted, studied):
        with pytest.raises(GendistError, match=f"a.csv: is {kind}"):
            read(tmp_path / "a.csv")


@pytest.mark.parametrize("encoding", ["hex", "nonsense"])
def test_codecs_that_decode_no_text_are_refused(tmp_path: Path, encoding: str):
    (tmp_path / "a.csv").write_text("text\none\n")
    with pytest.raises(GendistError, match=f"encoding '{encoding}' is unknown; accepted: utf-8"):
        predicted(tmp_path / "a.csv", encoding=encoding)


@pytest.mark.parametrize("suffix", ["txt", "jsonl", "csv"])
def test_carriage_returns_end_lines(tmp_path: Path, suffix: str, capsys: Any):
    line = {"txt": "{}", "jsonl": '{{"text": "{}"}}', "csv": "1,{}"}[suffix]
    lines = [*(["id,text"] if suffix == "csv" else []), *map(line.format, ("a wave", "two\u2028lines", "end"))]
    (tmp_path / f"a.{suffix}").write_bytes("\r".join(lines).encode())
    assert predicted(tmp_path / f"a.{suffix}") == ["a wave", "two\u2028lines", "end"]
    assert ("line 1 ends with a carriage return alone" in capsys.readouterr().err) == (suffix == "txt")


@pytest.mark.parametrize("size", [4, 5, 7, 64])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_lines_do_not_depend_on_the_blocks_that_they_come_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, encoding: str, ending: str
):
    monkeypatch.setattr("gendist.io.text_encodings.BLOCK_BYTES", size)
    lines = ["ä", "", "bc\u2028d", "é" * 20, "end"]
    (tmp_path / "a.txt").write_bytes(ending.join(lines).encode(encoding))
    found = list(text_file(tmp_path / "a.txt").lines("utf-8"))
    assert found == [line + ending for line in lines[:-1]] + ["end"]


# --- quotes ---

OPENING = [('"Wonderful opening', "good"), ("Dull middle", "bad"), ('Great last act"', "good"), ("Dull end", "bad")]


@pytest.mark.parametrize("delimiter", ["\t", ",", ";"])
@pytest.mark.parametrize("count", [4, 1])
def test_quotes_in_a_file_without_quoting_are_letters(tmp_path: Path, delimiter: str, count: int):
    file = tmp_path / "a.csv"
    rows = OPENING * count if count > 1 else [*OPENING, ('"never closed', "bad"), ('"a" and "b"', "good")]
    file.write_text("".join(f"{text}{delimiter}{label}\n" for text, label in [("text", "label"), *rows]))
    wanted = [text for text, _ in rows]
    found = read_rows(file, None)
    assert found.columns["text"] == predicted(file) == studied(file) == wanted
    assert found.notes[0].startswith("quotes are read literally: every line then has 2 fields")
    if count > 1:
        assert (
            "as enclosing quotes, they would join lines 2-4, 6-8, 10-12, … (the dataset's key 'quoting': standard"
            in found.notes[0]
        )
        joined = read_rows(file, None, reading=ReadOptions(quoting="standard")).columns["text"]
        assert len(joined) == 8 and joined[0].count("\n") == 2


@pytest.mark.parametrize(
    "lines",
    [
        ['"text","label"', '"one, two","a"', '"three', 'four","b"'],  # a quoted header
        ["text,label", '"he said ""no""",a', '"one, dear', 'two",b'],  # doubled quotes
        ["text,label", '"one, two",a', '"three', 'four",b'],  # a quoted delimiter
    ],
)
def test_quoting_that_is_proven_joins_lines_and_says_which(tmp_path: Path, lines: list[str], capsys: Any):
    file = tmp_path / "a.csv"
    file.write_text("\n".join(lines) + "\n")
    found = read_rows(file, None)
    assert len(found.numbers) == 2 and "\n" in found.columns["text"][1]
    assert found.notes == [
        "1 row spans several lines within quotes (lines 3-4); the dataset's key 'quoting': none reads quotes literally"
    ]
    assert predicted(file) == found.columns["text"]
    assert (
        f"note: {file}: 1 row spans several lines within quotes (lines 3-4); --quoting: none" in capsys.readouterr().err
    )


def test_a_file_of_one_column_whose_quotes_prove_nothing_is_asked_about(tmp_path: Path):
    file = tmp_path / "a.csv"
    file.write_text('text\n"Wonderful opening\nDull middle\nGreat last act"\n')
    with pytest.raises(
        GendistError, match="ambiguous quotes: they may join lines 2-4 into one text each, or be literal; set --quoting"
    ):
        predicted(file)
    assert predicted(file, quoting="none") == ['"Wonderful opening', "Dull middle", 'Great last act"']
    assert predicted(file, quoting="standard") == ["Wonderful opening\nDull middle\nGreat last act"]
    file.write_text('text\n"Well, that\nis that"\n')  # a comma outside of quotes would begin a second column
    assert predicted(file) == ["Well, that\nis that"]


def test_well_formed_quotes_give_no_note(tmp_path: Path):
    file = tmp_path / "a.csv"
    file.write_text('text,label\n"one, two",a\n"said ""so""",b\n"plain",a\n')
    found = read_rows(file, None)
    assert found.columns["text"] == ["one, two", 'said "so"', "plain"] and found.notes == []


def test_quotes_that_mostly_enclose_fields_are_not_taken_for_letters(tmp_path: Path):
    file = tmp_path / "a.csv"
    lines = ["text,label", *(f'"text {number}",a' for number in range(9))]
    for line, broken in (
        ('"she said \\"no\\"",b', r"line 11 is broken then \(',' expected after '\"'\)"),
        ('"never closed,b', r"line 11 is broken then \(unexpected end of data\)"),
    ):
        file.write_text("\n".join([*lines, line]) + "\n")
        for read, option in ((predicted, "--quoting"), (studied, "the dataset's key 'quoting'")):
            with pytest.raises(
                GendistError, match=f"ambiguous quotes: most enclose a field, but {broken}; .* {option}"
            ):
                read(file)
        assert predicted(file, quoting="none")[0] == '"text 0"'


def test_a_space_after_each_delimiter_is_no_part_of_the_fields(tmp_path: Path):
    file = tmp_path / "a.csv"
    file.write_text("id, text, label\n" + '1, "one, two", a\n2, three, b\n' * 2)
    assert predicted(file) == studied(file) == ["one, two", "three"] * 2
    assert read_rows(file, None).columns["label"] == ["a", "b"] * 2
    file.write_text('{"text": "one", "label": "a"}\n')  # not such a file
    with pytest.raises(GendistError, match="no column 'text'"):
        studied(file)


def test_a_field_that_is_too_long_is_named_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gendist.io.delimited_files.MAX_CELL_CHARACTERS", 100)
    (tmp_path / "a.csv").write_text(f"text,label\none,a\n{'x' * 101},b\n")
    with pytest.raises(GendistError, match=r"a\.csv, line 3: a field has more than 100 characters$"):
        predicted(tmp_path / "a.csv")


@pytest.mark.parametrize("quote_all", [False, True])
def test_rows_that_are_written_are_read_back(tmp_path: Path, quote_all: bool):
    texts = ["a\rb", "one, two\nthree, four", 'said "no"', "sep=;", "", "\u2028 \x85"]
    out = io.StringIO()
    row_writer(out, quote_all=quote_all).writerows([("id", "text", "label"), *((1, text, "a") for text in texts)])
    (tmp_path / "a.csv").write_bytes(out.getvalue().encode())
    quoting = "auto" if quote_all else "standard"
    assert read_rows(tmp_path / "a.csv", ["text"], reading=ReadOptions(quoting=quoting)).columns["text"] == texts
    assert "\r\n" not in out.getvalue()


def test_broken_quotes_name_the_way_out(tmp_path: Path):
    (tmp_path / "a.csv").write_text('text,label\n"a" b, c,x\n')
    with pytest.raises(GendistError, match=r"a\.csv, line 2: broken quoting .*; --quoting none reads quotes literally"):
        predicted(tmp_path / "a.csv")


# --- header ---


def test_a_file_without_header_loses_no_row(tmp_path: Path, capsys: Any):
    file = tmp_path / "a.csv"
    texts = [f"This is the text with the number {number} here" for number in range(12)]
    file.write_text("\n".join(texts) + "\n")
    assert predicted(file) == texts
    assert "line 1 is read as a text; use --header to read it as the column's name" in capsys.readouterr().err
    assert predicted(file, header=True) == texts[1:]
    file.write_text("body\n" + "\n".join(texts) + "\n")
    assert predicted(file) == texts
    assert "column 'body' is used as the text" in capsys.readouterr().err
    assert predicted(file, header=False) == ["body", *texts]


@pytest.mark.parametrize("first", ["Great movie", "What did you like about it?", "Great"])
def test_a_first_line_that_may_be_both_is_asked_about(tmp_path: Path, first: str):
    file = tmp_path / "a.csv"
    file.write_text(f"{first}\n" + ("Bad\nFine\n" if first == "Great" else "I liked the food\nNothing at all\n"))
    with pytest.raises(
        GendistError, match=r"line 1 .* may be a text or the header of the only column; use --no-header"
    ):
        predicted(file)
    assert predicted(file, header=False)[0] == first


def test_a_table_without_header_has_numbers_for_names(tmp_path: Path):
    file = tmp_path / "a.csv"
    file.write_text(table(";", ()))
    with pytest.raises(
        GendistError, match=r"no column 'text' .*; if the file has no header, use --no-header, and --text"
    ):
        predicted(file)
    assert predicted(file, header=False, training_columns=("2",)) == TEXTS
    assert studied(file, header=False, text="2", label="3") == TEXTS
    with pytest.raises(GendistError, match=r"no column 'text' .*; if line 1 is a row, not a header, set header: false"):
        studied(file)
    found = read_rows(file, None, reading=ReadOptions(header=None))
    assert found.columns["3"] == [label for *_, label in ROWS] and "line 1 is taken for a row" in found.notes[0]


@pytest.mark.parametrize("header", [("0", "1", "2"), ("id", "text", "label"), ("", "text", "sport")])
def test_a_header_is_not_taken_for_a_row(tmp_path: Path, header: tuple[str, ...]):
    file = tmp_path / "a.csv"
    file.write_text(table(",", header))
    reading = ReadOptions(header=None)
    if header[2] != "sport":
        assert list(read_rows(file, None, reading=reading).columns) == list(header)
        return
    with pytest.raises(GendistError, match=r"line 1 \('', 'text', 'sport'\) may be a header or a row, .* --header or"):
        read_rows(file, None, reading=reading)
    assert len(read_rows(file, None, reading=ReadOptions(header=True)).numbers) == 4
    assert len(read_rows(file, None, reading=reading, expected=["text", "sport"]).numbers) == 4


def test_a_text_above_texts_may_be_a_row(tmp_path: Path):
    file = tmp_path / "a.csv"
    rows = "".join(f"{text},{label}\n" for text, label in [("one wave of the sea", "a"), ("the sky is grey", "b")] * 3)
    reading = ReadOptions(header=None)
    file.write_text("the last wave of the summer was high,rare\n" + rows)
    with pytest.raises(
        GendistError, match=r"line 1 \('the last wave .*', 'rare'\) may be a header or a row, .* or a text"
    ):
        read_rows(file, None, reading=reading)
    file.write_text("What did you like best about your stay?,rating\n" + rows)
    assert len(read_rows(file, None, reading=reading).numbers) == 6


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_header_within_joined_files_is_no_row(tmp_path: Path, mark: str):
    file = tmp_path / "a.csv"
    file.write_text(f"text,label\none,a\n{mark}text,label\ntwo,b\n", encoding="utf-8")
    for read in (predicted, studied):
        with pytest.raises(GendistError, match=r"a\.csv, line 3: repeats the header, as in joined files"):
            read(file)
    file.write_text("text\none of them\ntext\n")
    assert predicted(file) == ["one of them", "text"]


@pytest.mark.parametrize("column", ["Text", " text", "text\u200b", "\ufefftext"])
def test_a_name_that_is_nearly_the_column_s_is_suggested(tmp_path: Path, column: str):
    (tmp_path / "a.csv").write_text(f"id,{column},label\n1,one,a\n", encoding="utf-8")
    for read in (predicted, studied):
        with pytest.raises(GendistError) as raised:
            read(tmp_path / "a.csv")
        assert f"no column 'text' (has id, {column if column == 'Text' else repr(column)}, label)" in str(raised.value)
        assert f"did you mean {column!r}?" in str(raised.value)


def test_a_column_that_stands_twice_is_refused(tmp_path: Path):
    file = tmp_path / "a.csv"
    file.write_text("text,label,text\na,b,c\n")
    for read in (predicted, studied):
        with pytest.raises(GendistError, match="column 'text' appears twice in the header"):
            read(file)
    assert read_rows(file, None).duplicate_columns == ("text",) and list(read_rows(file, None).columns) == ["label"]


# --- JSONL ---


def test_the_text_s_key_is_decided_once(tmp_path: Path, capsys: Any):
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "one"}\n{"id": "7"}\n{"text": "two", "id": "8"}\n')
    assert predicted(file) == ["one", "two"]
    rows = (tmp_path / "out.csv").read_text().splitlines()
    assert rows[2] == "1,,"
    file.write_text('{"id": "7"}\n{"text": "one"}\n')
    capsys.readouterr()
    assert predicted(file) == ["one"]
    assert capsys.readouterr().err == "note: 1 of 2 rows have no text and get no label\n"
    file.write_text('{"body": "one"}\n{"body": "two"}\n{}\n')
    assert predicted(file) == ["one", "two"]
    assert "key 'body' is used as the text" in capsys.readouterr().err
    file.write_text('{"body": "one"}\n' * 1000 + '{"text": "two"}\n')
    with pytest.raises(GendistError, match="line 1001: has the key 'text', but the text of earlier rows is in 'body'"):
        predicted(file)
    file.write_text('{"id": "7", "no": "8"}\n' * 3)
    with pytest.raises(GendistError, match=r"no column 'text' \(has id, no\); name the text column with --text"):
        predicted(file)


def test_a_key_that_stands_twice_is_refused_by_all(tmp_path: Path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "one", "label": "a"}\n{"text": "one", "text": "two", "label": "a"}\n')
    for read in (predicted, studied):
        with pytest.raises(GendistError, match=r"line 2: not valid JSON .key 'text' is repeated"):
            read(file)


# --- the standard input and pipes ---


class Stdin:
    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)


@pytest.mark.parametrize(
    ("content", "wanted", "kind"),
    [
        (table(";"), TEXTS, "csv"),
        ("sep=;\n" + table(";"), TEXTS, "csv"),
        ("\n" + table(";"), TEXTS, "csv"),
        ('{"text": "one", "id": 3}\n{"text": "two"}\n', ["one", "two"], "jsonl"),
        ('\n{"text": "one"}\n', ["one"], "jsonl"),
        ("The text, as it is\nand more\n", ["The text, as it is", "and more"], "txt"),
        ('{"no": "json of ours"}\n', ['{"no": "json of ours"}'], "txt"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("place", ["stdin", "file.txt", "pipe"])
def test_a_table_on_the_standard_input_is_no_list_of_lines(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
    content: str,
    wanted: list[str],
    kind: str,
    encoding: str,
    place: str,
):
    monkeypatch.chdir(tmp_path)
    path = "-"
    if place == "stdin":
        monkeypatch.setattr(sys, "stdin", Stdin(content.encode(encoding)))
    elif place == "pipe":
        path = "pipe.txt"
        os.mkfifo(path)
        threading.Thread(target=lambda: Path(path).write_bytes(content.encode(encoding)), daemon=True).start()
    else:
        path = place
        Path(path).write_bytes(content.encode(encoding))
    assert predicted(path) == wanted
    note = f"read as {kind} because of its first line; use --format txt to read lines of text"
    assert (note in capsys.readouterr().err) == (kind != "txt")


def test_a_lone_header_on_the_standard_input_is_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", Stdin(b"text\none, two\n"))
    with pytest.raises(GendistError, match="standard input: line 1 is 'text', the name of the text column"):
        predicted("-")
    monkeypatch.setattr(sys, "stdin", Stdin(b"text\none\n"))
    assert predicted("-", format="csv") == ["one"]
    monkeypatch.setattr(sys, "stdin", Stdin(b"text\none, two\n"))
    assert predicted("-", format="txt") == ["text", "one, two"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"id,body,label\n1,wave,sea\n", "csv"),
        (b"id;body\n1;wave\n", "csv"),
        (b'"id","body text"\n1,wave\n', "csv"),
        (b"id,Review Text\n1,wave\n", "csv"),
        (b'{"body": "wave"}\n', "jsonl"),
        (b'[{"text": "wave"}]\n', "jsonl"),
        (b'[\n{"text": "wave"}\n]\n', "jsonl"),
    ],
)
def test_a_table_without_the_text_column_is_not_read_as_lines_without_a_word(
    content: bytes, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", Stdin(content))
    assert predicted("-") == content.decode().splitlines()
    assert f"looks like a .{kind} file but is read as a text; use --format {kind}" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", Stdin(b"Hello, world\nno, no\n"))
    assert predicted("-") == ["Hello, world", "no, no"]
    assert capsys.readouterr().err == ""


def test_named_columns_find_the_table_or_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", Stdin(b"id,body,label\n1,wave,sea\n"))
    assert predicted("-", columns=["body"]) == ["wave"]
    for options in ({"columns": ["nope"]}, {"delimiter": ";"}, {"header": True}):
        monkeypatch.setattr(sys, "stdin", Stdin(b"id,body,label\n1,wave,sea\n"))
        with pytest.raises(
            GendistError, match="standard input: read as lines of text, which have no columns; use --format csv"
        ):
            predicted("-", **options)


# --- labels ---


def test_labels_are_merged_by_the_config(tmp_path: Path):
    file = tmp_path / "a.csv"
    file.write_text(
        "text,label\n" + "".join(f"text {i},{label}\n" for i, label in enumerate(["Billing", "billing", "x", "x"]))
    )
    values = {"train": str(file), "test": str(file), "train_per_class": None}
    train, test, names = read_labelled_rows(Dataset(**values, labels={"billing": "Billing"}))
    assert names == ["Billing", "x"] and train.labels == test.labels == [0, 0, 1, 1]
    with pytest.raises(GendistError, match=r"no row has label 'biling', which the dataset's key 'labels' renames"):
        read_labelled_rows(Dataset(**values, labels={"biling": "Billing"}))


def test_keys_at_their_defaults_leave_what_is_stored_as_it_was():
    values = {"train": "a.csv", "test": "b.csv"}
    assert not set(OMITTED_DEFAULTS) & Dataset(**values).model_dump(mode="json").keys()
    described = Dataset(**values, delimiter=";", header=False, text="1", label="2").model_dump(mode="json")
    assert described["delimiter"] == ";" and described["header"] is False and "quoting" not in described
    assert Dataset(**described) == Dataset(**values, delimiter=";", header=False, text="1", label="2")


def test_a_dialect_is_known_before_its_rows(tmp_path: Path):
    (tmp_path / "a.csv").write_text("sep=|\n" + table("|"))
    sheet = open_delimited(text_file(tmp_path / "a.csv"), ReadOptions())
    assert (sheet.delimiter, sheet.quoted, sheet.skipped, sheet.first) == ("|", True, 1, ["id", "text", "label"])
    assert [line for line, _ in sheet.rows(True)] == [3, 4, 5, 6]
