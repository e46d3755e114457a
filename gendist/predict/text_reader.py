"""Read texts in chunks from files larger than memory."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gendist.errors import GendistError
from gendist.io.delimited_files import ReadOptions, open_delimited
from gendist.io.escape import shorten
from gendist.io.json_files import read_json_lines
from gendist.io.regular_files import require_regular_file
from gendist.io.text_encodings import TextFile
from gendist.predict.standard_input import STDIN, open_text
from gendist.predict.text_columns import JsonColumns, choose_delimited_columns, choose_json_columns, select_columns

FORMATS = ("csv", "tsv", "jsonl", "parquet", "txt")
CHUNK_ROWS = 4096
"""Rows per chunk."""
JSON_START = re.compile(r'[\[{]|\[?\s*\{\s*".*"\s*:.*')
_NAME = r'(?:"[^"]*"|[^\W\d][\w.-]*(?: [\w.-]+){0,2})'
CSV_HEADER = re.compile(rf"{_NAME}([,;\t|]){_NAME}(\1{_NAME})*")
"""First lines of JSON and .csv files: an opening bracket or an object; names of up to three words and delimiters."""
UNKNOWN_HEADER = ReadOptions(header=None)


class InputRow(NamedTuple):
    """A row of the input file."""

    number: int
    """Row number from 0."""
    text: str | None
    """None if the row has no text."""
    kept: Sequence[Any] = ()
    """Values of the columns copied to the output."""


@dataclass(frozen=True)
class TextSource:
    """An input file and its format options."""

    path: str
    """A file, or ``-`` for standard input."""
    columns: Sequence[str] | None
    """Columns to join into the text; None uses those of the training texts, else the only column."""
    training_columns: Sequence[str]
    """Text columns of the training data."""
    separator: str = " "
    """Separator between joined columns."""
    reading: ReadOptions = UNKNOWN_HEADER
    """Format options of text files."""
    format: str | None = None
    """One of ``FORMATS``. None uses the suffix; standard input is ``txt`` unless its first line is a CSV header or a
    JSON object."""
    keep: Sequence[str] | None = ()
    """Columns copied to the output; None for all."""

    @property
    def name(self) -> str:
        """File name for messages."""
        return "standard input" if self.path == STDIN else self.path


@dataclass(frozen=True)
class TextStream:
    """The rows of an open file."""

    kept: list[str]
    """Names of the columns copied to the output."""
    rows: Iterator[InputRow]

    def chunks(self, size: int = CHUNK_ROWS) -> Iterator[list[InputRow]]:
        """Yield the rows in order, ``size`` at a time."""
        chunk: list[InputRow] = []
        for row in self.rows:
            chunk.append(row)
            if len(chunk) == size:
                yield chunk
                chunk = []
        if chunk:
            yield chunk


@contextmanager
def open_source(
    source: TextSource, size: int = CHUNK_ROWS, notify: Callable[[str], None] = lambda note: None
) -> Iterator[TextStream]:
    """Open a file and yield its rows.

    Text columns are stripped and joined as in training. A text is missing if all its columns are null (Parquet, JSON)
    or absent (JSON). An empty text is not missing.

    Args:
        source: the file and its options.
        size: rows per Parquet batch.
        notify: callback for notes to the user.

    Raises:
        GendistError: for an unknown format, a missing file or column, a broken row or a wrong encoding. Errors of a
            row are raised when the row is read.
    """
    kind = _resolve_format(source)
    if kind == "parquet":
        kept, rows = _read_parquet(source, size, notify)
        yield TextStream(kept, _validated(source, rows))
        return
    with ExitStack() as stack:
        try:
            guessed = source.format is None and kind == "txt"
            encoding = source.reading.encoding
            file, found = stack.enter_context(
                open_text(
                    source.path,
                    wanted=source.columns or source.training_columns,
                    encoding=encoding,
                    kind="" if guessed else kind,
                    reread=source.keep is None,
                )
            )
            if guessed and found != "txt":
                notify(
                    f"{source.name}: read as {found} because of its first line; use --format txt to read lines of text"
                )
            kept, rows = _READERS[found](source, file, found, notify)
        except OSError as error:
            raise _read_error(source, error) from None
        yield TextStream(kept, _validated(source, rows))


def _validated(source: TextSource, rows: Iterator[tuple[str | None, Sequence[Any]]]) -> Iterator[InputRow]:
    try:
        for number, (text, kept) in enumerate(rows):
            where = f"{source.name}, row {number}"
            if text is not None and re.search("[\ud800-\udfff]", text):  # JSON can encode it
                raise GendistError(f"{where}: text contains an unpaired surrogate (\\ud800 to \\udfff)")
            if text is not None and "\0" in text:
                raise GendistError(f"{where}: text contains a NUL character; the file may be damaged")
            yield InputRow(number, text, kept)
    except OSError as error:
        raise _read_error(source, error) from None


def _resolve_format(source: TextSource) -> str:
    if source.format is not None:
        if source.format not in FORMATS:
            raise GendistError(f"format '{source.format}' is unknown; accepted: {', '.join(FORMATS)}")
        return source.format
    if source.path == STDIN:
        return "txt"
    suffix = Path(source.path).suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise GendistError(
            f"{source.name}: unknown file type '.{suffix}'; accepted: {', '.join(FORMATS)}; or set --format"
        )
    return suffix


def _read_error(source: TextSource, error: OSError) -> GendistError:
    missing = isinstance(error, FileNotFoundError)
    return GendistError(f"{source.name}: " + ("no such file" if missing else f"cannot be read ({error.strerror})"))


def _join_columns(source: TextSource, parts: Sequence[Any], where: str) -> str | None:
    """Join the text columns of a row; None if all are null."""
    for part in parts:
        if part is not None and not isinstance(part, str):
            raise GendistError(f"{where}: the text is of type {type(part).__name__}, expected a string")
    if all(part is None for part in parts):
        return None
    stripped = [part.strip() for part in parts if part is not None]
    return source.separator.join(part for part in stripped if part)


_OpenedRows = tuple[list[str], Iterator[tuple[str | None, Sequence[Any]]]]
"""Names of the kept columns, and an iterator over (text, kept values)."""


def _read_lines(source: TextSource, file: TextFile, kind: str, notify: Callable[[str], None]) -> _OpenedRows:
    if source.keep is None or source.keep:
        raise GendistError(f"{source.name}: a text file has no columns for --keep")
    if source.columns or source.reading.delimiter is not None or source.reading.header:
        raise GendistError(
            f"{source.name}: read as lines of text, which have no columns; use --format csv if it is a table"
        )

    def rows() -> Iterator[tuple[str | None, Sequence[Any]]]:
        started = noted = False
        for number, line in enumerate(file.lines(source.reading.encoding), 1):
            text = line.strip()
            if text and not started:
                started = True
                kind = "jsonl" if JSON_START.fullmatch(text) else "csv" if CSV_HEADER.fullmatch(text) else ""
                if kind:
                    notify(
                        f"{source.name}: line {number} ({shorten(text, 40)}) looks like a .{kind} file but is read "
                        f"as a text; use --format {kind} and --text COLUMN to read columns"
                    )
            if line.endswith("\r") and not noted:
                noted = True
                notify(f"{source.name}: line {number} ends with a carriage return alone, which is read as a line end")
            yield text, ()

    return [], rows()


def _read_delimited(source: TextSource, file: TextFile, kind: str, notify: Callable[[str], None]) -> _OpenedRows:
    wanted = list(source.columns or source.training_columns)
    sheet = open_delimited(file, source.reading, wanted, prefer_tabs=kind == "tsv")
    for note in sheet.notes:
        notify(f"{source.name}: {note}")
    header, columns = choose_delimited_columns(
        source.name, sheet, reading=source.reading, requested=source.columns, expected=wanted, notify=notify
    )
    kept = select_columns(source.name, sheet.columns(header), source.keep)
    names = sheet.columns(header)
    texts, others = [names.index(column) for column in columns], [names.index(column) for column in kept]

    def rows() -> Iterator[tuple[str | None, Sequence[Any]]]:
        for line, record in sheet.rows(header):
            text = _join_columns(source, [record[index] for index in texts], f"{source.name}, line {line}")
            yield text, [record[index] for index in others]

    return kept, rows()


def _read_json(source: TextSource, file: TextFile, kind: str, notify: Callable[[str], None]) -> _OpenedRows:
    records = read_json_lines(file, source.reading.encoding)
    kept = [] if source.keep is None else list(source.keep)
    if source.keep is None:
        kept = list(dict.fromkeys(key for _, record in records for key in record))
        records = read_json_lines(file, source.reading.encoding)
    found: JsonColumns = choose_json_columns(
        source.name,
        records,
        requested=source.columns,
        training_columns=source.training_columns,
        kept=kept,
        notify=notify,
    )

    def rows() -> Iterator[tuple[str | None, Sequence[Any]]]:
        for line, record in found.records:
            where = f"{source.name}, line {line}"
            if found.is_fallback and any(column in record for column in source.training_columns):
                raise GendistError(
                    f"{where}: has the key '{source.training_columns[0]}', but the text of earlier rows is in "
                    f"'{found.names[0]}'; name the text key with --text"
                )
            yield (
                _join_columns(source, [record.get(name) for name in found.names], where),
                [record.get(k) for k in kept],
            )

    return kept, rows()


_READERS: dict[str, Callable[[TextSource, TextFile, str, Callable[[str], None]], _OpenedRows]] = {
    "csv": _read_delimited,
    "tsv": _read_delimited,
    "jsonl": _read_json,
    "txt": _read_lines,
}


def _read_parquet(source: TextSource, size: int, notify: Callable[[str], None]) -> _OpenedRows:
    if source.path == STDIN:
        raise GendistError("Parquet cannot be read from standard input; name a file")
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise GendistError("Parquet needs pyarrow: pip install pyarrow (extra 'parquet')") from None
    require_regular_file(Path(source.path))
    unreadable = (pa.ArrowException, OSError, ValueError, OverflowError)

    def broken(error: Exception) -> GendistError:
        return GendistError(f"{source.name}: not a readable Parquet file ({str(error).splitlines()[0]})")

    try:
        present = pq.read_schema(source.path).names
    except FileNotFoundError as error:
        raise _read_error(source, error) from None
    except unreadable as error:
        raise broken(error) from None
    only = present if len(present) == 1 else None
    known = all(column in present for column in source.training_columns)
    columns = source.columns or (only if only and not known else source.training_columns)
    select_columns(source.name, present, columns, "; name the text column with --text")
    if not source.columns and columns is only and not known:
        notify(f"{source.name}: column '{present[0]}' is used as the text")
    kept = select_columns(source.name, present, source.keep)

    def rows() -> Iterator[tuple[str | None, Sequence[Any]]]:
        row_number = 0
        try:
            with pq.ParquetFile(source.path) as parquet:
                for batch in parquet.iter_batches(size, columns=list(dict.fromkeys([*columns, *kept]))):
                    values = {name: batch[name].to_pylist() for name in (*columns, *kept)}
                    for row in range(batch.num_rows):
                        text = _join_columns(
                            source, [values[name][row] for name in columns], f"{source.name}, row {row_number}"
                        )
                        yield text, [values[name][row] for name in kept]
                        row_number += 1
        except unreadable as error:
            raise broken(error) from None

    return kept, rows()
