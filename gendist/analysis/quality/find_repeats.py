"""Which generated rows repeat an earlier one, or a real training row: a file that filters and reports read."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from gendist.analysis.quality.near_duplicates import MIN_JACCARD, SHINGLE_WIDTH, MinHashIndex, minhash_bands, shingles
from gendist.analysis.quality.text_overlap import TfidfSimilarity, longest_runs, normalise
from gendist.io.parquet import write_parquet
from gendist.io.provenance import Provenance, hash_file
from gendist.stages.synthetic.pool import pool_batches
from gendist.stages.synthetic.repeat_marks import SCHEMA
from gendist.stages.texts.tables import read_texts

log = logging.getLogger(__name__)

CHUNK_TEXTS = 500
"""Texts of which all shingles are held at a time: some hundred strings each."""


@dataclass(frozen=True)
class Repeats:
    """Row numbers or ids of what each text repeats, -1 for nothing: (texts,) each."""

    exact: np.ndarray
    near: np.ndarray


def find_repeats(train: Path, shards: Sequence[Path], count: int, out: Path) -> None:
    """Compare the first ``count`` rows of a pool with each other and with the real training rows.

    What is said of a row depends on it, on earlier rows and on the real rows alone, so that it stays as the pool grows.

    Raises:
        GendistError: if a file is missing or damaged, or the training rows hold no word.
    """
    real = read_texts(train)
    nearness, known, seen = TfidfSimilarity(real.texts, train), ReferenceTexts(real.texts, real.ids), EarlierTexts()
    tables = []
    for pool in pool_batches(shards, count):
        if not pool.texts:
            continue
        nearest = [(cosines.argmax(axis=1), cosines.max(axis=1)) for cosines in nearness.cosines(pool.texts)]
        place, cosine = (np.concatenate(parts) for parts in zip(*nearest, strict=True))
        earlier, copied = seen.repeats(pool.texts, pool.rows), known.repeats(pool.texts)
        columns = {
            "row": pool.rows,
            "duplicate_of": _null_if_negative(earlier.exact),
            "near_duplicate_of": _null_if_negative(earlier.near),
            "copy_of": _null_if_negative(copied.exact),
            "near_copy_of": _null_if_negative(copied.near),
            "longest_run": longest_runs(real.texts, pool.texts),
            "nearest_id": real.ids[place],
            "nearest_similarity": np.round(cosine, 6),
        }
        tables.append(pa.table(columns, schema=SCHEMA))
    table = pa.concat_tables(tables).combine_chunks()
    inputs = {"train": hash_file(train)} | {f"shards/{i:05d}": hash_file(file) for i, file in enumerate(shards)}
    settings = {"count": count, "jaccard": MIN_JACCARD, "shingle": SHINGLE_WIDTH}
    write_parquet(out, table, Provenance("quality", inputs, settings))
    found = [table.num_rows - table[name].null_count for name in SCHEMA.names[1:5]]
    log.info("%d rows: %d duplicates, %d near; %d copies of training rows, %d near", table.num_rows, *found)


class EarlierTexts:
    """Texts that came before, under their keys."""

    def __init__(self) -> None:
        self._index = MinHashIndex()
        self._first: dict[str, int] = {}

    def repeats(self, texts: Sequence[str], keys: np.ndarray) -> Repeats:
        """Find the texts that repeat an earlier one, and remember them.

        A near duplicate names the most similar of the earlier texts that are no near duplicates themselves: dropping
        all that name another leaves one of every group, and no chain of small changes is dropped link by link.

        Args:
            texts: in order, after those of earlier calls.
            keys: (texts,) what each is called, ascending.
        """
        exact, near = np.full(len(texts), -1), np.full(len(texts), -1)
        for first, cut, bands in _chunks(texts):
            candidates = self._index.candidates(bands)
            for i, key in enumerate(keys[first : first + len(cut)].tolist()):
                text = normalise(texts[first + i])
                same = self._first.setdefault(text, key)
                if same != key:
                    exact[first + i] = same
                elif match := self._index.nearest(cut[i], bands[i], candidates[i]):
                    near[first + i] = match.key
                else:
                    self._index.add(key, text, bands[i])
        return Repeats(exact, near)


class ReferenceTexts:
    """Texts that others are compared with.

    Args:
        texts: what is known.
        keys: (texts,) what each is called.
    """

    def __init__(self, texts: Sequence[str], keys: np.ndarray) -> None:
        self._keys = keys
        self._index = MinHashIndex()
        self._first: dict[str, int] = {}
        for first, cut, bands in _chunks(texts):
            for i in range(len(cut)):
                text = normalise(texts[first + i])
                self._first.setdefault(text, first + i)
                self._index.add(first + i, text, bands[i])

    def repeats(self, texts: Sequence[str]) -> Repeats:
        """Find the texts that repeat a known one."""
        exact, near = np.full(len(texts), -1), np.full(len(texts), -1)
        for first, cut, bands in _chunks(texts):
            candidates = self._index.candidates(bands)
            for i in range(len(cut)):
                same = self._first.get(normalise(texts[first + i]))
                if same is not None:
                    exact[first + i] = self._keys[same]
                elif match := self._index.nearest(cut[i], bands[i], candidates[i]):
                    near[first + i] = self._keys[match.key]
        return Repeats(exact, near)


def _chunks(texts: Sequence[str]) -> Iterator[tuple[int, list[frozenset[str]], np.ndarray]]:
    """Yield the place of the first of some texts, their shingles and their bands."""
    for first, last in pairwise([*range(0, len(texts), CHUNK_TEXTS), len(texts)]):
        cut = [shingles(text) for text in texts[first:last]]
        yield first, cut, minhash_bands(cut)


def _null_if_negative(keys: np.ndarray) -> pa.Array:
    return pa.array(keys, pa.int64(), mask=keys < 0)
