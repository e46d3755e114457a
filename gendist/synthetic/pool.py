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
    """Generated rows that hold text: ``rows`` (n,) and ``texts``; ``empty`` more were left out."""

    rows: np.ndarray
    texts: list[str]
    empty: int


def read_pool(shards: Sequence[Path], count: int) -> Pool:
    """Read the first ``count`` rows of a pool; empty ones among them are left out, not replaced."""
    table = pa.concat_tables([read_parquet(shard, ["row", "text", "finish"]) for shard in shards])[:count]
    rows = table["row"].to_numpy()
    if not np.array_equal(rows, np.arange(count)):
        raise GendistError(f"{shards[0]} and following: rows 0 to {count - 1} expected, found {len(rows)} others")
    keep = np.array([finish != "empty" for finish in table["finish"].to_pylist()])
    texts = table["text"].to_pylist()
    return Pool(rows[keep], [texts[i] for i in np.flatnonzero(keep)], int((~keep).sum()))
