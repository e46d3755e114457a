"""One reader: files that are damaged, joined, or written in an unusual way."""

import io
from pathlib import Path
from typing import Any

import pytest
from reading_fixtures import predicted, studied

from gendist.errors import GendistError
from gendist.io.delimited_files import ReadOptions, row_writer
from gendist.io.text_encodings import guess_encoding
from gendist.stages.texts.raw_rows import read_rows


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
