"""Parquet files with provenance, written under a temporary name and then renamed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gendist.artifacts.provenance import KEY, Provenance
from gendist.errors import GendistError


def write_parquet(
    path: Path, table: pa.Table, provenance: Provenance, metadata: dict[str, Any] | None = None
) -> None:
    """Write a table; ``metadata`` values are stored as JSON under their own keys."""
    path = Path(path)
    extra = {key: json.dumps(value, ensure_ascii=False) for key, value in (metadata or {}).items()}
    table = table.replace_schema_metadata({**extra, KEY: provenance.to_json()})
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        pq.write_table(table, part, compression="zstd")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table, or the named columns of it.

    Raises:
        GendistError: if the file is missing, is not Parquet, or lacks a column.
    """
    try:
        parquet = pq.ParquetFile(path)
    except FileNotFoundError:
        raise GendistError(f"{path}: no such file") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise GendistError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None
    with parquet:
        present = parquet.schema_arrow.names
        for column in columns or ():
            if column not in present:
                raise GendistError(f"{path}: no column '{column}' (has {', '.join(present)})")
        try:
            return parquet.read(list(columns) if columns is not None else None)
        except (pa.ArrowInvalid, OSError) as error:
            raise GendistError(f"{path}: damaged Parquet file ({str(error).splitlines()[0]}); delete it and run again") from None


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the JSON values stored beside a table, provenance included."""
    schema = pq.read_schema(path)
    stored = schema.metadata or {}
    return {key.decode(): json.loads(value) for key, value in stored.items() if key != b"ARROW:schema"}
