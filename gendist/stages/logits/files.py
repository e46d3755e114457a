"""Logits as Parquet columns: written, and read back and checked."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gendist.errors import GendistError
from gendist.io.parquet import read_parquet
from gendist.stages.texts.tables import require_unique


def logits_column(logits: np.ndarray) -> pa.Array:
    """Turn logits (rows, classes) into a list<float32> column."""
    offsets = pa.array(np.arange(0, logits.size + 1, logits.shape[1]), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(logits.ravel(), pa.float32()))


def read_logits(
    files: Sequence[Path], key: Literal["id", "row"], count: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Read logits files one after the other.

    Args:
        files: Parquet with ``key`` and ``logits``, a list of equal length in every row.
        key: ``id`` for real texts, ``row`` for synthetic ones.
        count: rows to return, the first of them; None for all.

    Returns:
        The keys (rows,) int64 and the logits (rows, classes) float32, in the files' order.

    Raises:
        GendistError: if there is no file, or one is missing, damaged or ragged, holds a NaN or an
            infinity, a key twice, or another number of classes than the first.
    """
    _, keys, logits = zip(*logits_by_file(files, key), strict=True)
    all_keys = np.concatenate(keys)
    require_unique(all_keys, key, files[0])
    return all_keys[:count], np.concatenate(logits)[:count]


def logits_by_file(files: Sequence[Path], key: Literal["id", "row"]) -> Iterator[tuple[Path, np.ndarray, np.ndarray]]:
    """Yield each file with its keys (rows,) and logits (rows, classes).

    Raises:
        GendistError: as ``read_logits``, but for a key that occurs in two files.
    """
    if not files:
        raise GendistError("no logits files were given")
    first = 0
    for file in files:
        keys, logits = _read(file, key)
        classes = logits.shape[1]
        if first and classes != first:
            raise GendistError(f"{file}: {classes} classes, but {files[0]} has {first}")
        first = classes
        require_unique(keys, key, file)
        yield file, keys, logits


def _read(file: Path, key: str) -> tuple[np.ndarray, np.ndarray]:
    table = read_parquet(file, {key: "integers", "logits": "lists of numbers"})
    column = table["logits"].combine_chunks()
    widths = pc.list_value_length(column).to_pylist()
    wrong = next((row for row, width in enumerate(widths) if not width or width != widths[0]), None)
    if not widths or wrong is not None:
        where = "there are none" if wrong is None else f"row {wrong}"
        raise GendistError(f"{file}: the rows of 'logits' are none, empty, or differ in length ({where})")
    logits = np.asarray(pc.list_flatten(column).to_numpy(zero_copy_only=False), dtype=np.float32)
    logits = logits.reshape(table.num_rows, widths[0])
    odd = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(odd):
        raise GendistError(f"{file}: 'logits' holds a value that is no finite number (row {odd[0]})")
    return table[key].to_numpy(), logits
