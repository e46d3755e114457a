"""Parquet files with provenance and page checksums, written atomically."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gendist.errors import GendistError
from gendist.io.atomic_files import atomic_write
from gendist.io.provenance import PROVENANCE_KEY, Provenance
from gendist.io.regular_files import require_regular_file

# pyarrow gets absolute paths: it takes a relative one such as s3:out/a.parquet for a URI.

ROW_GROUP_SIZE = 50_000
"""Rows per row group of tables written in parts."""


def write_parquet(path: Path, table: pa.Table, provenance: Provenance, metadata: dict[str, Any] | None = None) -> None:
    """Write a table; each ``metadata`` value is stored as JSON under its key."""
    table = table.replace_schema_metadata(_schema_metadata(provenance, metadata))
    with atomic_write(path) as part:
        pq.write_table(table, part.absolute(), compression="zstd", write_page_checksum=True)


def write_parquet_parts(
    path: Path, parts: Iterator[pa.Table], provenance: Provenance, metadata: dict[str, Any] | None = None
) -> None:
    """Write a table from an iterator of parts, so that it need not fit into memory.

    Up to ``ROW_GROUP_SIZE`` rows, the bytes equal those of ``write_parquet``.

    Args:
        path: the file.
        parts: at least one table; all have the same schema.
        provenance: the record to store.
        metadata: further values, stored as JSON under their keys.
    """
    first = next(parts)
    schema = first.schema.with_metadata(_schema_metadata(provenance, metadata))
    with (
        atomic_write(path) as target,
        pq.ParquetWriter(target.absolute(), schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        pending = first
        for part in chain(parts, [None]):
            if part is not None:
                pending = pa.concat_tables([pending, part])
            while pending.num_rows >= ROW_GROUP_SIZE or (part is None and pending.num_rows):
                writer.write_table(
                    pending[:ROW_GROUP_SIZE].combine_chunks().replace_schema_metadata(schema.metadata), ROW_GROUP_SIZE
                )
                pending = pending[ROW_GROUP_SIZE:]


def _schema_metadata(provenance: Provenance, metadata: dict[str, Any] | None) -> dict[str, str]:
    extra = {key: json.dumps(value, ensure_ascii=False) for key, value in (metadata or {}).items()}
    return {**extra, PROVENANCE_KEY: provenance.to_json()}


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind)


COLUMN_TYPES: dict[str, Callable[[pa.DataType], bool]] = {
    "integers": pa.types.is_integer,
    "strings": lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
    "lists of numbers": lambda kind: _is_list(kind) and _is_number(kind.value_type),
}
"""Column types that ``read_parquet`` can require."""


def read_parquet(path: Path, columns: Sequence[str] | Mapping[str, str] | None = None) -> pa.Table:
    """Read a table, or some of its columns.

    Args:
        path: the file.
        columns: the columns to read, all by default. A mapping also requires each to have one of ``COLUMN_TYPES`` and
            no nulls.

    Raises:
        GendistError: if the file is missing or is not Parquet, or a column is missing or has another type or nulls.
    """
    with open_parquet(path, "; delete it and rerun") as parquet:
        present = parquet.schema_arrow.names
        for column in columns or ():
            if present.count(column) != 1:
                found = "two columns" if column in present else "no column"
                raise GendistError(f"{path}: {found} '{column}' (has {', '.join(present)})")
        table = parquet.read(list(columns) if columns is not None else None)
    for column, expected in columns.items() if isinstance(columns, Mapping) else ():
        if not COLUMN_TYPES[expected](table.schema.field(column).type):
            raise GendistError(
                f"{path}: column '{column}' has type {table.schema.field(column).type}, expected {expected}"
            )
        if table[column].null_count:
            row = table[column].is_null().index(True).as_py()
            raise GendistError(f"{path}: column '{column}' has empty cells (first in row {row}), expected {expected}")
    return table


def column_names(path: Path) -> list[str]:
    """Return the column names of a table.

    Raises:
        GendistError: if the file is missing or is not Parquet.
    """
    with open_parquet(path) as parquet:
        return list(parquet.schema_arrow.names)


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the JSON metadata of a table, including its provenance; metadata of other tools is excluded.

    Raises:
        GendistError: if the file is missing or is not Parquet.
    """
    with open_parquet(path) as parquet:
        stored = parquet.schema_arrow.metadata or {}
    found = {}
    for key, value in stored.items():
        try:
            found[key.decode()] = json.loads(value)
        except ValueError:
            continue
    return found


UNREADABLE = (pa.ArrowException, OSError, ValueError, OverflowError)
"""Exceptions of pyarrow for a damaged file; the last two for out-of-range values and invalid UTF-8."""


@contextmanager
def open_parquet(path: Path, hint: str = "") -> Iterator[pq.ParquetFile]:
    """Open a Parquet file for reading.

    Raises:
        GendistError: if the file is missing or damaged, on opening or while it is read.
    """
    require_regular_file(path)
    try:
        opened = pq.ParquetFile(path.absolute(), page_checksum_verification=True)
    except UNREADABLE as error:
        raise GendistError(f"{path}: not a readable Parquet file ({_first_line(error)})") from None
    with opened:
        try:
            yield opened
        except UNREADABLE as error:
            raise GendistError(f"{path}: damaged Parquet file ({_first_line(error)}){hint}") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
