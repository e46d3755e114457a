"""Parquet files with provenance, written whole or not at all."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gendist.errors import GendistError
from gendist.io.files import whole_file
from gendist.io.provenance import KEY, Provenance
from gendist.io.regular_files import require_regular

GROUP = 50_000
"""Rows in a row group of what is written in parts."""


def write_parquet(path: Path, table: pa.Table, provenance: Provenance, metadata: dict[str, Any] | None = None) -> None:
    """Write a table; ``metadata`` values are stored as JSON under their own keys."""
    table = table.replace_schema_metadata(_stored(provenance, metadata))
    with whole_file(path) as part:
        pq.write_table(table, part, compression="zstd", write_page_checksum=True)


def write_parquet_parts(
    path: Path, parts: Iterator[pa.Table], provenance: Provenance, metadata: dict[str, Any] | None = None
) -> None:
    """Write a table that comes in parts and need not fit into memory: at least one, all of one schema.

    Up to ``GROUP`` rows, the file is the one that ``write_parquet`` would write.
    """
    first = next(parts)
    schema = first.schema.with_metadata(_stored(provenance, metadata))
    with (
        whole_file(path) as target,
        pq.ParquetWriter(target, schema, compression="zstd", write_page_checksum=True) as to,
    ):
        held = first
        for part in chain(parts, [None]):
            if part is not None:
                held = pa.concat_tables([held, part])
            while held.num_rows >= GROUP or (part is None and held.num_rows):
                to.write_table(held[:GROUP].combine_chunks().replace_schema_metadata(schema.metadata), GROUP)
                held = held[GROUP:]


def _stored(provenance: Provenance, metadata: dict[str, Any] | None) -> dict[str, str]:
    extra = {key: json.dumps(value, ensure_ascii=False) for key, value in (metadata or {}).items()}
    return {**extra, KEY: provenance.to_json()}


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind)


KINDS: dict[str, Callable[[pa.DataType], bool]] = {
    "whole numbers": pa.types.is_integer,
    "texts": lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
    "lists of numbers": lambda kind: _is_list(kind) and _is_number(kind.value_type),
}
"""What a column may be asked to hold."""


def read_parquet(path: Path, columns: Sequence[str] | Mapping[str, str] | None = None) -> pa.Table:
    """Read a table, or the named columns of it.

    Args:
        path: the file.
        columns: names of columns, or for each name one of ``KINDS``, which must then be in every row.

    Raises:
        GendistError: if the file is missing, is not Parquet, lacks a column, or has other values in it.
    """
    with parquet_file(path, "; delete it and run again") as parquet:
        present = parquet.schema_arrow.names
        for column in columns or ():
            if present.count(column) != 1:
                found = "two columns" if column in present else "no column"
                raise GendistError(f"{path}: {found} '{column}' (has {', '.join(present)})")
        table = parquet.read(list(columns) if columns is not None else None)
    for column, kind in columns.items() if isinstance(columns, Mapping) else ():
        if not KINDS[kind](table.schema.field(column).type):
            raise GendistError(f"{path}: column '{column}' holds {table.schema.field(column).type}, expected {kind}")
        if table[column].null_count:
            row = table[column].is_null().index(True).as_py()
            raise GendistError(f"{path}: column '{column}' has empty cells (first in row {row}), expected {kind}")
    return table


def column_names(path: Path) -> list[str]:
    """Return the names of a table's columns.

    Raises:
        GendistError: if the file is missing or is not Parquet.
    """
    with parquet_file(path) as parquet:
        return list(parquet.schema_arrow.names)


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the JSON values stored beside a table, provenance included; values of others are left out.

    Raises:
        GendistError: if the file is missing or is not Parquet.
    """
    with parquet_file(path) as parquet:
        stored = parquet.schema_arrow.metadata or {}
    found = {}
    for key, value in stored.items():
        try:
            found[key.decode()] = json.loads(value)
        except ValueError:
            continue
    return found


UNREADABLE = (pa.ArrowException, OSError, ValueError, OverflowError)
"""What a damaged file raises; the last two for values that Python has no room for, and text that is no UTF-8."""


@contextmanager
def parquet_file(path: Path, advice: str = "") -> Iterator[pq.ParquetFile]:
    """Open a Parquet file to read from it.

    Raises:
        GendistError: if the file is missing, or damaged, which may turn out while it is read.
    """
    require_regular(path)
    try:
        opened = pq.ParquetFile(path, page_checksum_verification=True)
    except UNREADABLE as error:
        raise GendistError(f"{path}: not a readable Parquet file ({_first_line(error)})") from None
    with opened:
        try:
            yield opened
        except UNREADABLE as error:
            raise GendistError(f"{path}: damaged Parquet file ({_first_line(error)}){advice}") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
