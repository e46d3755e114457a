"""The first rows of a pool, read back from its shards."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from gendist.artifacts import read_parquet
from gendist.errors import GendistError


@dataclass(frozen=True)
class Pool:
    """Generated rows that hold text, in the order of the pool."""

    rows: np.ndarray
    """(n,) int64 row numbers."""
    texts: list[str]
    empty: int
    """Rows that were left out because they hold no text."""


def read_pool(shards: Sequence[Path], count: int | None = None) -> Pool:
    """Read the first ``count`` rows of a pool, or all; empty ones among them are left out, not replaced.

    Raises:
        GendistError: if a shard is missing or damaged, the rows are not the pool's first, or none holds text.
    """
    if not shards:
        raise GendistError("no shards of generated rows were given")
    table = pa.concat_tables([read_parquet(shard, ["row", "text", "finish"]) for shard in shards])[:count]
    rows = table["row"].to_numpy()
    wanted = len(rows) if count is None else count
    if not np.array_equal(rows, np.arange(wanted)):
        raise GendistError(f"{shards[0]} and following: rows 0 to {wanted - 1} expected, found {len(rows)} others")
    keep = np.array([finish != "empty" for finish in table["finish"].to_pylist()], dtype=bool)
    if not keep.any():
        raise GendistError(f"{shards[0]}: no generated row holds text ({len(rows)} are empty); look at the generator")
    texts = table["text"].to_pylist()
    return Pool(rows[keep], [texts[i] for i in np.flatnonzero(keep)], int((~keep).sum()))
