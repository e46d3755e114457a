"""Logits as Parquet columns."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from gendist.artifacts import read_parquet


def logits_column(logits: np.ndarray) -> pa.Array:
    """Turn logits (rows, classes) into a list<float32> column."""
    offsets = pa.array(np.arange(0, logits.size + 1, logits.shape[1]), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(logits.ravel(), pa.float32()))


def read_logits(files: Sequence[Path], count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Read logits files in order; return keys (n,) and logits (n, classes), the first ``count`` rows."""
    keys, logits = [], []
    for file in files:
        table = read_parquet(file)
        keys.append(table.column(0).to_numpy())
        flat = table["logits"].combine_chunks().flatten().to_numpy()
        logits.append(flat.reshape(table.num_rows, -1))
    return np.concatenate(keys)[:count], np.concatenate(logits)[:count]
