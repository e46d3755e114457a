"""Parquet files with provenance, written whole or not at all."""

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gendist.artifacts.files import whole_file
from gendist.artifacts.provenance import KEY, Provenance
from gendist.errors import GendistError

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


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table, or the named columns of it.

    Raises:
        GendistError: if the file is missing, is not Parquet, or lacks a column.
    """
    with _opened(path) as parquet:
        present = parquet.schema_arrow.names
        for column in columns or ():
            if column not in present:
                raise GendistError(f"{path}: no column '{column}' (has {', '.join(present)})")
        try:
            return parquet.read(list(columns) if columns is not None else None)
        except (pa.ArrowException, OSError) as error:
            raise GendistError(
                f"{path}: damaged Parquet file ({_first_line(error)}); delete it and run again"
            ) from None


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the JSON values stored beside a table, provenance included; values of others are left out.

    Raises:
        GendistError: if the file is missing or is not Parquet.
    """
    with _opened(path) as parquet:
        stored = parquet.schema_arrow.metadata or {}
    found = {}
    for key, value in stored.items():
        try:
            found[key.decode()] = json.loads(value)
        except ValueError:
            continue
    return found


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except FileNotFoundError:
        raise GendistError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError) as error:
        raise GendistError(f"{path}: not a readable Parquet file ({_first_line(error)})") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
