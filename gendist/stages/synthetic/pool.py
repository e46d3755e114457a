"""The first rows of a pool, read back from its shards."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from gendist.errors import GendistError
from gendist.io.parquet import read_parquet

COLUMNS = {"row": "integers", "text": "strings", "finish": "strings"}
BATCH = 5000
"""Rows that stages look at together: a pool may be larger than memory."""


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
    parts = list(pool_batches(shards, count))
    texts = [text for part in parts for text in part.texts]
    return Pool(np.concatenate([part.rows for part in parts]), texts, sum(part.empty for part in parts))


def pool_batches(shards: Sequence[Path], count: int | None = None, size: int = BATCH) -> Iterator[Pool]:
    """Yield the same rows a batch at a time, in memory that does not grow with the number of shards.

    Args:
        shards: files of the pool, in order.
        count: rows to read, the first of them; None for all.
        size: rows in a batch, empty ones included; the last one is smaller.

    Raises:
        GendistError: as ``read_pool``; that rows are missing or none holds text shows only after the last batch.
    """
    waiting: list[pa.Table] = []
    rows = with_text = 0
    for table in _tables(shards, count, ["row", "text", "finish"]):
        rows += table.num_rows
        waiting.append(table)
        while sum(part.num_rows for part in waiting) >= size:
            held = pa.concat_tables(waiting)
            yield (batch := _pool(held[:size]))
            with_text += len(batch.rows)
            waiting = [held[size:]]
    if sum(part.num_rows for part in waiting):
        yield (batch := _pool(pa.concat_tables(waiting)))
        with_text += len(batch.rows)
    if not with_text:
        raise GendistError(f"{shards[0]}: no generated row holds text ({rows} are empty); look at the generator")


def rows_with_text(shards: Sequence[Path], count: int | None = None) -> np.ndarray:
    """Return the numbers of the rows that hold text, (n,) int64, without reading any text.

    Raises:
        GendistError: as ``read_pool``.
    """
    kept, rows = [], 0
    for table in _tables(shards, count, ["row", "finish"]):
        kept.append(table["row"].to_numpy()[_holds_text(table)])
        rows += table.num_rows
    if not sum(map(len, kept)):
        raise GendistError(f"{shards[0]}: no generated row holds text ({rows} are empty); look at the generator")
    return np.concatenate(kept)


def texts_of(shards: Sequence[Path], rows: Sequence[int]) -> list[str]:
    """Return the texts of some rows of a pool, in the order that they are asked for.

    Raises:
        GendistError: if a shard is missing or damaged, or a row is not in the pool.
    """
    found: dict[int, str] = {}
    wanted = np.unique(rows)
    for table in _tables(shards, None, ["row", "text"]):
        numbers = table["row"].to_numpy()
        places = np.flatnonzero(np.isin(numbers, wanted, assume_unique=True))
        found |= zip(numbers[places].tolist(), table["text"].take(places).to_pylist(), strict=True)
    if len(found) < len(wanted):
        raise GendistError(f"{shards[0]} and following: no row {min(set(wanted.tolist()) - set(found))}")
    return [found[int(row)] for row in rows]


def _tables(shards: Sequence[Path], count: int | None, columns: list[str]) -> Iterator[pa.Table]:
    """Yield the first ``count`` rows of a pool, shard by shard."""
    if not shards:
        raise GendistError("no shards of generated rows were given")
    read = 0
    wrong = ""
    types: list[pa.DataType] = []
    for shard in shards:
        table = read_parquet(shard, {name: COLUMNS[name] for name in columns})
        types = types or table.schema.types
        if table.schema.types != types:
            raise GendistError(f"{shard}: its columns are of other types than those of {shards[0]}")
        if count is not None:
            table = table[: max(count - read, 0)]
        last = read + table.num_rows
        numbers = table["row"].to_numpy()
        others = np.flatnonzero(numbers != np.arange(read, last))
        if len(others) and not wrong:
            wrong = f", of which that in place {read + others[0]} is {numbers[others[0]]}"
        read = last
        if not wrong:
            yield table
    wanted = read if count is None else count
    if wrong or read != wanted:
        expected = f"rows 0 to {wanted - 1} expected"
        raise GendistError(f"{shards[0]} and following: {expected}, found {read} rows{wrong}")


def _pool(table: pa.Table) -> Pool:
    keep = _holds_text(table)
    held = table.filter(pa.array(keep))
    return Pool(held["row"].to_numpy(), held["text"].to_pylist(), int((~keep).sum()))


def _holds_text(table: pa.Table) -> np.ndarray:
    return np.array([finish != "empty" for finish in table["finish"].to_pylist()], dtype=bool)
