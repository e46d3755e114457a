"""One reader: quotes and headers of a table, whether they are meant or not."""

from pathlib import Path
from typing import Any

import pytest
from reading_fixtures import ROWS, TEXTS, predicted, studied, table

from gendist.errors import GendistError
from gendist.io.delimited_files import ReadOptions
from gendist.stages.texts.raw_rows import read_rows

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


def test_a_column_that_stands_twice_is_refused(tmp_path: Path):
    file = tmp_path / "a.csv"
    file.write_text("text,label,text\na,b,c\n")
    for read in (predicted, studied):
        with pytest.raises(GendistError, match="column 'text' appears twice in the header"):
            read(file)
    assert read_rows(file, None).duplicate_columns == ("text",) and list(read_rows(file, None).columns) == ["label"]
