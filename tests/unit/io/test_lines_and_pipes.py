"""One reader: JSON lines, and the standard input."""

import io
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from reading_fixtures import TEXTS, predicted, studied, table

from gendist.errors import GendistError

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
