"""The first rows of a pool, read back from its shards."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from gendist.artifacts import read_parquet
from gendist.errors import GendistError

COLUMNS = {"row": "whole numbers", "text": "texts", "finish": "texts"}


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
    tables: list[pa.Table] = []
    for shard in shards:
        table = read_parquet(shard, COLUMNS)
        if tables and table.schema.types != tables[0].schema.types:
            raise GendistError(f"{shard}: its columns are of other types than those of {shards[0]}")
        tables.append(table)
    table = pa.concat_tables(tables)[:count]
    rows = table["row"].to_numpy()
    wanted = len(rows) if count is None else count
    if not np.array_equal(rows, np.arange(wanted)):
        found = f"found {len(rows)} rows"
        if len(rows):
            known = np.arange(len(rows))
            place = int(np.flatnonzero(rows != known)[0]) if (rows != known).any() else len(rows)
            found += f", of which that in place {place} is {rows[place]}" if place < len(rows) else ""
        raise GendistError(f"{shards[0]} and following: rows 0 to {wanted - 1} expected, {found}")
    keep = np.array([finish != "empty" for finish in table["finish"].to_pylist()], dtype=bool)
    if not keep.any():
        raise GendistError(f"{shards[0]}: no generated row holds text ({len(rows)} are empty); look at the generator")
    texts = table["text"].to_pylist()
    return Pool(rows[keep], [texts[i] for i in np.flatnonzero(keep)], int((~keep).sum()))
