"""Texts from files larger than memory, a few thousand at a time."""

import codecs
import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from gendist.errors import GendistError
from gendist.regular import require_regular

STDIN = "-"
FORMATS = ("csv", "tsv", "jsonl", "parquet", "txt")
CHUNK = 4096
"""Rows in memory at a time."""
LONGEST_CELL = 10_000_000
"""Characters; what is longer is an unclosed quote."""

Row = tuple[int, str | None]
"""Row number from 0, and its text; None where it has none."""


@dataclass(frozen=True)
class Source:
    """Where the texts are, and how to read them."""

    path: str
    """A file, or ``-`` for the standard input."""
    columns: Sequence[str] | None
    """Columns to join into the text; None takes those of the training texts, else the only one."""
    trained_on: Sequence[str]
    """Columns that the training texts were made of."""
    separator: str = " "
    """What stands between joined columns."""
    encoding: str = "utf-8"
    """Of the text formats; a byte order mark is skipped."""
    format: str | None = None
    """One of ``FORMATS``; None goes by the file's suffix, and takes the standard input for lines of text."""

    @property
    def name(self) -> str:
        """What error messages call it."""
        return "standard input" if self.path == STDIN else self.path


def read_chunks(source: Source, size: int = CHUNK) -> Iterator[list[Row]]:
    """Yield the rows of a source in order, ``size`` at a time.

    Text columns are stripped and joined as the training texts were. A missing text is a null of
    Parquet or JSON in all its columns; an empty one is a text like any other.

    Raises:
        GendistError: unknown format, missing file or column, broken row, or another encoding.
    """
    kind = _format(source)
    rows = _parquet_rows(source, size) if kind == "parquet" else _text_rows(source, kind)
    chunk: list[Row] = []
    for number, text in enumerate(rows):
        if text is not None and re.search("[\ud800-\udfff]", text):  # JSON can spell it
            raise GendistError(f"{source.name}, row {number}: text holds half of a surrogate pair (\\ud800 to \\udfff)")
        if text is not None and "\0" in text:
            raise GendistError(
                f"{source.name}, row {number}: text holds a NUL character; the file may be damaged, or its "
                "--encoding another, such as utf-16"
            )
        chunk.append((number, text))
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _format(source: Source) -> str:
    if source.format is not None:
        if source.format not in FORMATS:
            raise GendistError(f"format '{source.format}' is unknown; accepted: {', '.join(FORMATS)}")
        return source.format
    if source.path == STDIN:
        return "txt"
    suffix = Path(source.path).suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise GendistError(
            f"{source.name}: unknown file type '.{suffix}'; accepted: {', '.join(FORMATS)}, or say which with --format"
        )
    return suffix


@contextmanager
def _opened(source: Source, newline: str) -> Iterator[TextIO]:
    """Open the source as text; the standard input stays open."""
    # A file of UTF-8 may begin with a byte order mark.
    encoding = "utf-8-sig" if _is_utf8(source.encoding) else source.encoding
    with ExitStack() as stack:
        binary = sys.stdin.buffer if source.path == STDIN else stack.enter_context(Path(source.path).open("rb"))
        stream = io.TextIOWrapper(binary, encoding=encoding, newline=newline)
        stack.callback(stream.detach)  # or the standard input would be closed with it
        yield stream


def _unreadable(source: Source, error: OSError) -> GendistError:
    missing = isinstance(error, FileNotFoundError)
    return GendistError(f"{source.name}: " + ("no such file" if missing else f"cannot be read ({error.strerror})"))


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name == "utf-8"


def _text_rows(source: Source, kind: str) -> Iterator[str | None]:
    done = 0
    try:
        # Only \n ends a line: other Unicode line breaks may stand inside a text.
        with _opened(source, "" if kind in ("csv", "tsv") else "\n") as stream:
            for text in _READERS[kind](source, stream):
                yield text
                done += 1
    except LookupError:
        raise GendistError(f"encoding '{source.encoding}' is unknown; try utf-8, utf-16, cp1252 or latin-1") from None
    except UnicodeError as error:  # found a block ahead of the row that it is in
        reason = getattr(error, "reason", error)
        raise GendistError(
            f"{source.name}: not {source.encoding} somewhere after row {done} ({reason}); "
            "say what it is with --encoding, such as cp1252"
        ) from None
    except OSError as error:
        raise _unreadable(source, error) from None


def _chosen(source: Source, present: Sequence[str], where: str) -> list[str]:
    """Return the columns that make the text."""
    if source.columns:
        wanted = list(source.columns)
    elif all(column in present for column in source.trained_on):
        wanted = list(source.trained_on)
    elif len(present) == 1:
        wanted = list(present)
    else:
        wanted = list(source.trained_on)
    for column in wanted:
        if column not in present:
            shown = ", ".join(map(str, present)) or "none"
            raise GendistError(f"{where}: no column '{column}' (has {shown}); name the text's with --text")
        if list(present).count(column) > 1:
            raise GendistError(f"{where}: column '{column}' stands twice")
    return wanted


def _joined(source: Source, parts: Sequence[Any], where: str) -> str | None:
    """Return a row's text, None if none of its columns has one."""
    for part in parts:
        if part is not None and not isinstance(part, str):
            raise GendistError(f"{where}: the text is of type {type(part).__name__}, expected a string")
    if all(part is None for part in parts):
        return None
    stripped = [part.strip() for part in parts if part is not None]
    return source.separator.join(part for part in stripped if part)


def _lines(source: Source, stream: TextIO) -> Iterator[str | None]:
    for line in stream:
        yield line.strip()


def _delimited_rows(source: Source, stream: TextIO, delimiter: str) -> Iterator[str | None]:
    csv.field_size_limit(LONGEST_CELL)
    line = 1
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
        places = [header.index(column) for column in _chosen(source, header, source.name)]
        line = reader.line_num + 1
        for record in reader:
            where = f"{source.name}, line {line}"
            if record:  # a blank line is no row
                if len(record) != len(header):
                    raise GendistError(
                        f"{where}: {len(record)} fields, the header has {len(header)}; "
                        "quote texts that hold the delimiter or a line break"
                    )
                yield _joined(source, [record[place] for place in places], where)
            line = reader.line_num + 1
    except csv.Error as error:
        opened = "; a quote that is opened there is not closed" if reader.line_num > line else ""
        raise GendistError(f"{source.name}, line {line}: broken quoting ({error}){opened}") from None


def _csv_rows(source: Source, stream: TextIO) -> Iterator[str | None]:
    return _delimited_rows(source, stream, ",")


def _tsv_rows(source: Source, stream: TextIO) -> Iterator[str | None]:
    return _delimited_rows(source, stream, "\t")


def _jsonl_rows(source: Source, stream: TextIO) -> Iterator[str | None]:
    for number, line in enumerate(stream, 1):
        where = f"{source.name}, line {number}"
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise GendistError(f"{where}: not valid JSON ({getattr(error, 'msg', error)})") from None
        if not isinstance(record, dict):
            raise GendistError(f"{where}: expected a JSON object")
        yield _joined(source, [record[column] for column in _chosen(source, list(record), where)], where)


_READERS: dict[str, Callable[[Source, TextIO], Iterator[str | None]]] = {
    "csv": _csv_rows,
    "tsv": _tsv_rows,
    "jsonl": _jsonl_rows,
    "txt": _lines,
}


def _parquet_rows(source: Source, size: int) -> Iterator[str | None]:
    if source.path == STDIN:
        raise GendistError("Parquet cannot be read from the standard input; name a file")
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise GendistError("Parquet needs pyarrow: pip install 'gendist[predict]'") from None
    done = 0
    require_regular(Path(source.path))
    try:
        with pq.ParquetFile(source.path) as parquet:
            columns = _chosen(source, parquet.schema_arrow.names, source.name)
            for batch in parquet.iter_batches(size, columns=columns):
                for parts in zip(*(batch[column].to_pylist() for column in columns), strict=True):
                    yield _joined(source, parts, f"{source.name}, row {done}")
                    done += 1
    except FileNotFoundError as error:
        raise _unreadable(source, error) from None
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise GendistError(f"{source.name}: not a readable Parquet file ({reason})") from None
