"""Readers of one input format each: lines, delimited files, JSON lines, Parquet."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gendist.errors import GendistError
from gendist.io.delimited_files import open_delimited
from gendist.io.escape import shorten
from gendist.io.json_files import read_json_lines
from gendist.io.regular_files import require_regular_file
from gendist.io.text_encodings import TextFile
from gendist.predict.standard_input import STDIN
from gendist.predict.text_columns import JsonColumns, choose_delimited_columns, choose_json_columns, select_columns
from gendist.predict.text_source import TextSource, read_error

JSON_START = re.compile(r'[\[{]|\[?\s*\{\s*".*"\s*:.*')
_NAME = r'(?:"[^"]*"|[^\W\d][\w.-]*(?: [\w.-]+){0,2})'
CSV_HEADER = re.compile(rf"{_NAME}([,;\t|]){_NAME}(\1{_NAME})*")
"""First lines of JSON and .csv files: an opening bracket or an object; names of up to three words and delimiters."""
OpenedRows = tuple[list[str], Iterator[tuple[str | None, Sequence[Any]]]]
"""Names of the kept columns, and an iterator over (text, kept values)."""


def _join_columns(source: TextSource, parts: Sequence[Any], where: str) -> str | None:
    """Join the text columns of a row; None if all are null."""
    for part in parts:
        if part is not None and not isinstance(part, str):
            raise GendistError(f"{where}: the text is of type {type(part).__name__}, expected a string")
    if all(part is None for part in parts):
        return None
    stripped = [part.strip() for part in parts if part is not None]
    return source.separator.join(part for part in stripped if part)


def read_text_lines(source: TextSource, file: TextFile, kind: str, notify: Callable[[str], None]) -> OpenedRows:
    """Read every line as a text."""
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


def read_delimited_rows(source: TextSource, file: TextFile, kind: str, notify: Callable[[str], None]) -> OpenedRows:
    """Read a CSV or TSV file."""
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


def read_json_rows(source: TextSource, file: TextFile, kind: str, notify: Callable[[str], None]) -> OpenedRows:
    """Read a file with one JSON object per line, or one JSON list of objects."""
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


TEXT_READERS: dict[str, Callable[[TextSource, TextFile, str, Callable[[str], None]], OpenedRows]] = {
    "csv": read_delimited_rows,
    "tsv": read_delimited_rows,
    "jsonl": read_json_rows,
    "txt": read_text_lines,
}
"""Readers of the text formats: from the source, its open file, the format and a callback for notes to the user."""


def read_parquet_rows(source: TextSource, size: int, notify: Callable[[str], None]) -> OpenedRows:
    """Read a Parquet file, ``size`` rows at a time."""
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
        present = pq.read_schema(Path(source.path).absolute()).names
    except FileNotFoundError as error:
        raise read_error(source, error) from None
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
            with pq.ParquetFile(Path(source.path).absolute()) as parquet:
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
