"""Read the table of repeated rows: duplicates in the pool, and copies of training rows."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from gendist.errors import GendistError
from gendist.io.parquet import read_parquet

GRAM = 8
"""Consecutive words of one training row that count as a copy."""

SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("duplicate_of", pa.int64()),
        ("near_duplicate_of", pa.int64()),
        ("copy_of", pa.int64()),
        ("near_copy_of", pa.int64()),
        ("longest_run", pa.int64()),
        ("nearest_id", pa.int64()),
        ("nearest_similarity", pa.float64()),
    ]
)
"""One row per generated row that is not empty, in the order of the pool.

``duplicate_of`` and ``near_duplicate_of`` are an earlier row of the pool, ``copy_of`` and ``near_copy_of`` the id of a
real training row; of each pair at most one is set. ``longest_run`` is the number of consecutive words of one real row;
``nearest`` is the real row with the highest cosine similarity of TF-IDF vectors.
"""

Repeats = Mapping[str, np.ndarray]
"""The columns of ``SCHEMA``, (rows,) each, -1 for null."""


def read_repeats(file: Path, rows: np.ndarray) -> Repeats:
    """Read the output of ``find_repeats``.

    Args:
        file: Parquet with the columns of ``SCHEMA``.
        rows: expected row numbers, (n,).

    Raises:
        GendistError: if the file is missing, damaged, or has other row numbers.
    """
    table = read_parquet(file, SCHEMA.names)
    if table.schema.types != SCHEMA.types or table["row"].null_count:
        raise GendistError(f"{file}: damaged (unexpected column types); delete it and rerun")
    if not np.array_equal(table["row"].to_numpy(), rows):
        raise GendistError(f"{file}: has other row numbers than the generated rows; delete it and rerun")
    return {name: table[name].fill_null(-1).to_numpy() for name in SCHEMA.names}


def is_duplicate(repeats: Repeats) -> np.ndarray:
    """Return which rows are duplicates, or near duplicates, of an earlier row, (rows,) bool."""
    return np.asarray((repeats["duplicate_of"] >= 0) | (repeats["near_duplicate_of"] >= 0))


def is_duplicate_or_copy(repeats: Repeats) -> np.ndarray:
    """Return which rows are exact or near duplicates of an earlier row or a training row, (rows,) bool."""
    names = ("duplicate_of", "near_duplicate_of", "copy_of", "near_copy_of")
    return np.asarray(np.logical_or.reduce([repeats[name] >= 0 for name in names]))


def is_copy(repeats: Repeats) -> np.ndarray:
    """Return which rows copy a training row, exactly or nearly, or share ``GRAM`` consecutive words: (rows,) bool."""
    return np.asarray((repeats["copy_of"] >= 0) | (repeats["near_copy_of"] >= 0) | (repeats["longest_run"] >= GRAM))
