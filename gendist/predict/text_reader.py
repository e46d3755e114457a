"""Texts from files larger than memory, a few thousand at a time."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gendist.errors import GendistError
from gendist.io.delimited import Reading, open_sheet
from gendist.io.encodings import TextFile
from gendist.io.json_lines import json_records
from gendist.io.regular_files import require_regular
from gendist.predict.standard_input import STDIN, open_text
from gendist.predict.text_columns import JsonColumns, choose_delimited_columns, choose_json_columns, select_columns

FORMATS = ("csv", "tsv", "jsonl", "parquet", "txt")
CHUNK_ROWS = 4096
"""Rows in memory at a time."""
JSON_OBJECT = re.compile(r'\{\s*".*"\s*:.*\}')
CSV_HEADER = re.compile(r"[A-Za-z_]\w*([,;\t|])[A-Za-z_]\w*(\1[A-Za-z_]\w*)*")
"""First lines of .jsonl and .csv files: an object; names without spaces, a delimiter between them."""
UNKNOWN_HEADER = Reading(header=None)


class InputRow(NamedTuple):
    """A row of the input."""

    number: int
    """From 0."""
    text: str | None
    """None where it has none."""
    kept: Sequence[Any] = ()
    """Values of the columns that go into the output."""


@dataclass(frozen=True)
class TextSource:
    """Where the texts are, and how to read them."""

    path: str
    """A file, or ``-`` for the standard input."""
    columns: Sequence[str] | None
    """Columns to join into the text; None takes those of the training texts, else the only one."""
    trained_on: Sequence[str]
    """Columns that the training texts were made of."""
    separator: str = " "
    """What stands between joined columns."""
    reading: Reading = UNKNOWN_HEADER
    """How a text file is to be read."""
    format: str | None = None
    """One of ``FORMATS``; None goes by the file's suffix, and takes the standard input for lines of text unless its
    first line is that of a table."""
    keep: Sequence[str] | None = ()
    """Columns that go into the output; None takes all."""

    @property
    def name(self) -> str:
        """What error messages call it."""
        return "standard input" if self.path == STDIN else self.path


@dataclass(frozen=True)
class TextStream:
    """An opened source."""

    kept: list[str]
    """Names of the columns that go into the output."""
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
    source: TextSource, size: int = CHUNK_ROWS, tell: Callable[[str], None] = lambda note: None
) -> Iterator[TextStream]:
    """Open a source.

    Text columns are stripped and joined as the training texts were. A missing text is a null of
    Parquet or JSON in all its columns, or a JSON object without them; an empty one is a text like any other.

    Args:
        source: where the texts are.
        size: rows of Parquet that are read at once.
        tell: takes a line that the user should know.

    Raises:
        GendistError: unknown format, missing file or column, broken row, or another encoding; some of these only
            when the row is reached.
    """
    kind = _resolve_format(source)
    if kind == "parquet":
        kept, rows = _read_parquet(source, size, tell)
        yield TextStream(kept, _validated(source, rows))
        return
    with ExitStack() as stack:
        try:
            unsure = source.format is None and kind == "txt"
            encoding = source.reading.encoding
            file, found = stack.enter_context(
                open_text(
                    source.path,
                    source.columns or source.trained_on,
                    encoding,
                    "" if unsure else kind,
                    source.keep is None,
                )
            )
            if unsure and found != "txt":
                tell(f"{source.name}: read as {found}, by its first line; --format txt takes its lines for texts")
            kept, rows = _READERS[found](source, file, found, tell)
        except OSError as error:
            raise _read_error(source, error) from None
        yield TextStream(kept, _validated(source, rows))


def _validated(source: TextSource, rows: Iterator[tuple[str | None, Sequence[Any]]]) -> Iterator[InputRow]:
    try:
        for number, (text, kept) in enumerate(rows):
            where = f"{source.name}, row {number}"
            if text is not None and re.search("[\ud800-\udfff]", text):  # JSON can spell it
                raise GendistError(f"{where}: text holds half of a surrogate pair (\\ud800 to \\udfff)")
            if text is not None and "\0" in text:
                raise GendistError(f"{where}: text holds a NUL character; the file may be damaged")
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
            f"{source.name}: unknown file type '.{suffix}'; accepted: {', '.join(FORMATS)}, or say which with --format"
        )
    return suffix


def _read_error(source: TextSource, error: OSError) -> GendistError:
    missing = isinstance(error, FileNotFoundError)
    return GendistError(f"{source.name}: " + ("no such file" if missing else f"cannot be read ({error.strerror})"))


def _join_columns(source: TextSource, parts: Sequence[Any], where: str) -> str | None:
    """Return a row's text, None if none of its columns has one."""
    for part in parts:
        if part is not None and not isinstance(part, str):
            raise GendistError(f"{where}: the text is of type {type(part).__name__}, expected a string")
    if all(part is None for part in parts):
        return None
    stripped = [part.strip() for part in parts if part is not None]
    return source.separator.join(part for part in stripped if part)


_OpenedRows = tuple[list[str], Iterator[tuple[str | None, Sequence[Any]]]]
"""Names of the columns that are kept, and each row's text and values of these."""


def _read_lines(source: TextSource, file: TextFile, kind: str, tell: Callable[[str], None]) -> _OpenedRows:
    if source.keep is None or source.keep:
        raise GendistError(f"{source.name}: lines of text have no columns to --keep")
    if source.columns or source.reading.delimiter is not None:
        raise GendistError(
            f"{source.name}: read as lines of text, which have no columns; if it is a table, say so with --format csv"
        )

    def rows() -> Iterator[tuple[str | None, Sequence[Any]]]:
        for number, line in enumerate(file.lines(source.reading.encoding)):
            if number == 0 and (CSV_HEADER.fullmatch(line.strip()) or JSON_OBJECT.fullmatch(line.strip())):
                kind = "jsonl" if JSON_OBJECT.fullmatch(line.strip()) else "csv"
                tell(
                    f"{source.name}: line 1 ({line.strip()[:40]}) looks like that of a .{kind} file and is read as a "
                    f"text; --format {kind} with --text COLUMN reads columns"
                )
            yield line.strip(), ()

    return [], rows()


def _read_delimited(source: TextSource, file: TextFile, kind: str, tell: Callable[[str], None]) -> _OpenedRows:
    wanted = list(source.columns or source.trained_on)
    sheet = open_sheet(file, source.reading, wanted, tabs=kind == "tsv")
    for note in sheet.notes:
        tell(f"{source.name}: {note}")
    header, columns = choose_delimited_columns(source.name, sheet, source.reading, source.columns, wanted, tell)
    kept = select_columns(source.name, sheet.columns(header), source.keep)
    names = sheet.columns(header)
    texts, others = [names.index(column) for column in columns], [names.index(column) for column in kept]

    def rows() -> Iterator[tuple[str | None, Sequence[Any]]]:
        for line, record in sheet.rows(header):
            text = _join_columns(source, [record[place] for place in texts], f"{source.name}, line {line}")
            yield text, [record[place] for place in others]

    return kept, rows()


def _read_json(source: TextSource, file: TextFile, kind: str, tell: Callable[[str], None]) -> _OpenedRows:
    records = json_records(file, source.reading.encoding)
    kept = [] if source.keep is None else list(source.keep)
    if source.keep is None:
        kept = list(dict.fromkeys(key for _, record in records for key in record))
        records = json_records(file, source.reading.encoding)
    found: JsonColumns = choose_json_columns(source.name, records, source.columns, source.trained_on, kept, tell)

    def rows() -> Iterator[tuple[str | None, Sequence[Any]]]:
        for line, record in found.records:
            where = f"{source.name}, line {line}"
            if found.instead and any(column in record for column in source.trained_on):
                raise GendistError(
                    f"{where}: has '{source.trained_on[0]}', while the rows before have their text under "
                    f"'{found.names[0]}'; name the text's key with --text"
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


def _read_parquet(source: TextSource, size: int, tell: Callable[[str], None]) -> _OpenedRows:
    if source.path == STDIN:
        raise GendistError("Parquet cannot be read from the standard input; name a file")
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise GendistError("Parquet needs pyarrow: pip install 'gendist[predict]'") from None
    require_regular(Path(source.path))
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
    known = all(column in present for column in source.trained_on)
    columns = source.columns or (only if only and not known else source.trained_on)
    select_columns(source.name, present, columns, "; name the text's with --text")
    if not source.columns and columns is only and not known:
        tell(f"{source.name}: column '{present[0]}' is taken for the text")
    kept = select_columns(source.name, present, source.keep)

    def rows() -> Iterator[tuple[str | None, Sequence[Any]]]:
        done = 0
        try:
            with pq.ParquetFile(source.path) as parquet:
                for batch in parquet.iter_batches(size, columns=list(dict.fromkeys([*columns, *kept]))):
                    values = {name: batch[name].to_pylist() for name in (*columns, *kept)}
                    for row in range(batch.num_rows):
                        text = _join_columns(
                            source, [values[name][row] for name in columns], f"{source.name}, row {done}"
                        )
                        yield text, [values[name][row] for name in kept]
                        done += 1
        except unreadable as error:
            raise broken(error) from None

    return kept, rows()
