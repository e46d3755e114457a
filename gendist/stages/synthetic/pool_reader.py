"""Read the first rows of a pool from its shards."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from gendist.errors import GendistError
from gendist.io.parquet import read_metadata, read_parquet

UNUSED = ("empty", "refusal", "echo")
"""Values of ``finish`` of rows that are no texts of the requested kind; they keep their number and train nothing."""
COLUMNS = {"row": "integers", "text": "strings", "finish": "strings"}
POOL_BATCH_ROWS = 5000
"""Rows per batch: a pool may be larger than memory."""


@dataclass(frozen=True)
class Pool:
    """Generated rows with a text to use, in the order of the pool."""

    rows: np.ndarray
    """(n,) int64 row numbers."""
    texts: list[str]
    empty: int
    """Number of rows that are left out: empty, refusals and echoes (``UNUSED``)."""


def read_pool(shards: Sequence[Path], count: int | None = None) -> Pool:
    """Read the first ``count`` rows of a pool, or all; empty rows among them are left out, not replaced.

    Raises:
        GendistError: if a shard is missing or damaged, row numbers are not consecutive from 0, or all rows are empty.
    """
    parts = list(iter_pool_batches(shards, count))
    texts = [text for part in parts for text in part.texts]
    return Pool(np.concatenate([part.rows for part in parts]), texts, sum(part.empty for part in parts))


def iter_pool_batches(shards: Sequence[Path], count: int | None = None, size: int = POOL_BATCH_ROWS) -> Iterator[Pool]:
    """Yield the rows of ``read_pool`` in batches; memory does not grow with the number of shards.

    Args:
        shards: files of the pool, in order.
        count: number of rows to read; None for all.
        size: rows per batch, empty ones included; the last batch may be smaller.

    Raises:
        GendistError: as ``read_pool``; missing rows, or only empty ones, are reported after the last batch.
    """
    waiting: list[pa.Table] = []
    rows = with_text = 0
    for table in _tables(shards, count, ["row", "text", "finish"]):
        rows += table.num_rows
        waiting.append(table)
        while sum(part.num_rows for part in waiting) >= size:
            joined = pa.concat_tables(waiting)
            yield (batch := _pool(joined[:size]))
            with_text += len(batch.rows)
            waiting = [joined[size:]]
    if sum(part.num_rows for part in waiting):
        yield (batch := _pool(pa.concat_tables(waiting)))
        with_text += len(batch.rows)
    if not with_text:
        raise GendistError(f"{shards[0]}: all {rows} generated rows are {_fault(shards)}; check the generator")


def row_numbers_with_text(shards: Sequence[Path], count: int | None = None) -> np.ndarray:
    """Return the numbers of the rows that are not empty, (n,) int64, without reading texts.

    Raises:
        GendistError: as ``read_pool``.
    """
    kept, rows = [], 0
    for table in _tables(shards, count, ["row", "finish"]):
        kept.append(table["row"].to_numpy()[_has_text(table)])
        rows += table.num_rows
    if not sum(map(len, kept)):
        raise GendistError(f"{shards[0]}: all {rows} generated rows are {_fault(shards)}; check the generator")
    return np.concatenate(kept)


def finish_counts(shards: Sequence[Path], count: int | None = None) -> dict[str, int]:
    """Return the number of rows by ``finish``, with a zero for values that a shard's record lists without rows.

    Raises:
        GendistError: as ``read_pool``.
    """
    counts: Counter[str] = Counter()
    for table in _tables(shards, count, ["row", "finish"]):
        counts.update(table["finish"].to_pylist())
    listed = read_metadata(shards[0]).get("finish_counts")
    return dict.fromkeys(listed if isinstance(listed, dict) else (), 0) | dict(counts)


def texts_at(shards: Sequence[Path], rows: Sequence[int]) -> list[str]:
    """Return the texts of the rows with these numbers, in the same order.

    Raises:
        GendistError: if a shard is missing or damaged, or a row is not in the pool.
    """
    found: dict[int, str] = {}
    requested = np.unique(rows)
    for table in _tables(shards, None, ["row", "text"]):
        numbers = table["row"].to_numpy()
        indices = np.flatnonzero(np.isin(numbers, requested, assume_unique=True))
        found |= zip(numbers[indices].tolist(), table["text"].take(indices).to_pylist(), strict=True)
    if len(found) < len(requested):
        raise GendistError(f"{shards[0]} and following: no row {min(set(requested.tolist()) - set(found))}")
    return [found[int(row)] for row in rows]


def _tables(shards: Sequence[Path], count: int | None, columns: list[str]) -> Iterator[pa.Table]:
    """Yield the first ``count`` rows of a pool, one table per shard."""
    if not shards:
        raise GendistError("no shards of generated rows given")
    read = 0
    wrong = ""
    types: list[pa.DataType] = []
    for shard in shards:
        table = read_parquet(shard, {name: COLUMNS[name] for name in columns})
        types = types or table.schema.types
        if table.schema.types != types:
            raise GendistError(f"{shard}: column types differ from those of {shards[0]}")
        if count is not None:
            table = table[: max(count - read, 0)]
        last = read + table.num_rows
        numbers = table["row"].to_numpy()
        misplaced = np.flatnonzero(numbers != np.arange(read, last))
        if len(misplaced) and not wrong:
            wrong = f"; at index {read + misplaced[0]} is row {numbers[misplaced[0]]}"
        read = last
        if not wrong:
            yield table
    requested = read if count is None else count
    if wrong or read != requested:
        expected = f"rows 0 to {requested - 1} expected"
        raise GendistError(f"{shards[0]} and following: {expected}, found {read} rows{wrong}")


def _fault(shards: Sequence[Path]) -> str:
    """Describe rows of which none has a text to use."""
    counts = finish_counts(shards)
    refusals, echoes = counts.get("refusal", 0), counts.get("echo", 0)
    if not refusals and not echoes:
        return "empty"
    return f"without a usable text, of which {refusals} are refusals and {echoes} echoes of the prompt"


def _pool(table: pa.Table) -> Pool:
    has_text = _has_text(table)
    rows = table.filter(pa.array(has_text))
    return Pool(rows["row"].to_numpy(), rows["text"].to_pylist(), int((~has_text).sum()))


def _has_text(table: pa.Table) -> np.ndarray:
    return np.array([finish not in UNUSED for finish in table["finish"].to_pylist()], dtype=bool)
