"""The marks of generated rows that repeat others, read back: light, because students' jobs read them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from gendist.errors import GendistError
from gendist.io.parquet import read_parquet

GRAM = 8
"""Words in a row that count as taken over."""

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
"""A row per generated row that holds text, in the order of the pool.

``duplicate_of`` and ``near_duplicate_of`` name an earlier row of the pool, ``copy_of`` and ``near_copy_of`` the id of
a real training row; of each two at most one is set. ``longest_run`` counts consecutive words of one real row;
``nearest`` is the real row with the highest cosine of TF-IDF vectors.
"""

Marks = Mapping[str, np.ndarray]
"""The columns of ``SCHEMA``, (rows,) each, -1 for null."""


def read_marks(file: Path, rows: np.ndarray) -> Marks:
    """Read what ``repeats.find_repeats`` wrote.

    Args:
        file: Parquet with the columns of ``SCHEMA``.
        rows: (n,) row numbers that it must hold, and no others.

    Raises:
        GendistError: if the file is missing, damaged or of other rows.
    """
    table = read_parquet(file, SCHEMA.names)
    if table.schema.types != SCHEMA.types or table["row"].null_count:
        raise GendistError(f"{file}: damaged (its columns are of other types); delete it and run again")
    if not np.array_equal(table["row"].to_numpy(), rows):
        raise GendistError(f"{file}: not of the same generated rows; delete it and run again")
    return {name: table[name].fill_null(-1).to_numpy() for name in SCHEMA.names}


def is_repeated(marks: Marks) -> np.ndarray:
    """Say of which rows an earlier one has the same text, or nearly: (rows,) bool."""
    return np.asarray((marks["duplicate_of"] >= 0) | (marks["near_duplicate_of"] >= 0))


def is_any(marks: Marks) -> np.ndarray:
    """Say which rows have the text of an earlier or of a training row, or nearly: (rows,) bool."""
    names = ("duplicate_of", "near_duplicate_of", "copy_of", "near_copy_of")
    return np.asarray(np.logical_or.reduce([marks[name] >= 0 for name in names]))


def is_copied(marks: Marks) -> np.ndarray:
    """Say which rows have the text of a training row, or nearly, or ``GRAM`` words in a row of one: (rows,) bool."""
    return np.asarray((marks["copy_of"] >= 0) | (marks["near_copy_of"] >= 0) | (marks["longest_run"] >= GRAM))
