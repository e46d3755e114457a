"""Write, read and validate logits in Parquet files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gendist.errors import GendistError
from gendist.io.parquet import read_parquet
from gendist.stages.texts.text_tables import require_unique


def logits_column(logits: np.ndarray) -> pa.Array:
    """Convert logits (rows, classes) to a list<float32> column."""
    offsets = pa.array(np.arange(0, logits.size + 1, logits.shape[1]), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(logits.ravel(), pa.float32()))


def read_logits(
    files: Sequence[Path], key: Literal["id", "row"], count: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Read and concatenate logits files.

    Args:
        files: Parquet with ``key`` and ``logits``, a list of equal length in every row.
        key: ``id`` for real texts, ``row`` for synthetic ones.
        count: number of leading rows to return; None returns all.

    Returns:
        The keys (rows,) int64 and the logits (rows, classes) float32, in the files' order.

    Raises:
        GendistError: if there are no files, or one is missing, damaged or ragged, has non-finite values,
            duplicate keys or another number of classes than the first.
    """
    _, keys, logits = zip(*iter_logits_files(files, key), strict=True)
    all_keys = np.concatenate(keys)
    require_unique(all_keys, key, files[0])
    return all_keys[:count], np.concatenate(logits)[:count]


def iter_logits_files(
    files: Sequence[Path], key: Literal["id", "row"]
) -> Iterator[tuple[Path, np.ndarray, np.ndarray]]:
    """Yield each file with its keys (rows,) and logits (rows, classes).

    Raises:
        GendistError: as ``read_logits``, except for keys duplicated across files.
    """
    if not files:
        raise GendistError("no logits files were given")
    n_classes = 0
    for file in files:
        keys, logits = _read_file(file, key)
        classes = logits.shape[1]
        if n_classes and classes != n_classes:
            raise GendistError(f"{file}: {classes} classes, but {files[0]} has {n_classes}")
        n_classes = classes
        require_unique(keys, key, file)
        yield file, keys, logits


def _read_file(file: Path, key: str) -> tuple[np.ndarray, np.ndarray]:
    table = read_parquet(file, {key: "integers", "logits": "lists of numbers"})
    column = table["logits"].combine_chunks()
    widths = pc.list_value_length(column).to_pylist()
    wrong = next((row for row, width in enumerate(widths) if not width or width != widths[0]), None)
    if not widths or wrong is not None:
        where = "no rows" if wrong is None else f"row {wrong}"
        raise GendistError(f"{file}: 'logits' is empty or its rows differ in length ({where})")
    logits = np.asarray(pc.list_flatten(column).to_numpy(zero_copy_only=False), dtype=np.float32)
    logits = logits.reshape(table.num_rows, widths[0])
    invalid = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(invalid):
        raise GendistError(f"{file}: 'logits' has a value that is not finite (row {invalid[0]})")
    return table[key].to_numpy(), logits
