"""Logits as Parquet columns: written, and read back and checked."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gendist.artifacts import read_parquet
from gendist.errors import GendistError
from gendist.texts.tables import require_unique


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
    table = read_parquet(file, [key, "logits"])
    column = table["logits"].combine_chunks()
    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        raise GendistError(f"{file}: column 'logits' is {kind}; a list of numbers is needed")
    widths = set(pc.list_value_length(column).to_pylist())
    if len(widths) != 1 or None in widths or 0 in widths:
        raise GendistError(f"{file}: the rows of 'logits' are none, empty, or differ in length")
    if table[key].null_count:
        raise GendistError(f"{file}: column '{key}' has empty cells")
    logits = np.asarray(pc.list_flatten(column).to_numpy(zero_copy_only=False), dtype=np.float32)
    if not np.isfinite(logits).all():
        raise GendistError(f"{file}: 'logits' holds a value that is no finite number")
    return table[key].to_numpy(), logits.reshape(table.num_rows, widths.pop())
