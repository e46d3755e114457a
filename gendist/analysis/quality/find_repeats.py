"""Find generated rows that repeat an earlier row or a training row, for filters and reports."""

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
from gendist.stages.synthetic.pool_reader import iter_pool_batches
from gendist.stages.synthetic.repeats_table import SCHEMA
from gendist.stages.texts.text_tables import read_texts

log = logging.getLogger(__name__)

CHUNK_TEXTS = 500
"""Texts whose shingles, some hundred strings each, are in memory at a time."""


@dataclass(frozen=True)
class Repeats:
    """Keys of the repeated texts, -1 for none: (texts,) int64 each."""

    exact: np.ndarray
    near: np.ndarray


def find_repeats(train: Path, shards: Sequence[Path], count: int, out: Path) -> None:
    """Compare the first ``count`` rows of a pool with each other and with the training rows.

    The marks of a row depend only on the row, earlier rows and the training rows: they stay as the pool grows.

    Args:
        train: texts file of the training rows.
        shards: shards of the pool.
        count: rows of the pool.
        out: Parquet file to write (``repeat_marks.SCHEMA``).

    Raises:
        GendistError: if a file is missing or damaged, or the training rows have no words.
    """
    real = read_texts(train)
    similarity, reference, earlier = (
        TfidfSimilarity(real.texts, train),
        ReferenceTexts(real.texts, real.ids),
        EarlierTexts(),
    )
    tables = []
    for pool in iter_pool_batches(shards, count):
        if not pool.texts:
            continue
        batches = [(cosines.argmax(axis=1), cosines.max(axis=1)) for cosines in similarity.cosines(pool.texts)]
        nearest, cosine = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        earlier_repeats, reference_repeats = earlier.repeats(pool.texts, pool.rows), reference.repeats(pool.texts)
        columns = {
            "row": pool.rows,
            "duplicate_of": _null_if_negative(earlier_repeats.exact),
            "near_duplicate_of": _null_if_negative(earlier_repeats.near),
            "copy_of": _null_if_negative(reference_repeats.exact),
            "near_copy_of": _null_if_negative(reference_repeats.near),
            "longest_run": longest_runs(real.texts, pool.texts),
            "nearest_id": real.ids[nearest],
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
    """Index of earlier texts by key."""

    def __init__(self) -> None:
        self._index = MinHashIndex()
        self._first_key: dict[str, int] = {}

    def repeats(self, texts: Sequence[str], keys: np.ndarray) -> Repeats:
        """Find texts that repeat an earlier one, and add the texts to the index.

        Near duplicates are not added to the index. A near duplicate refers to the most similar indexed text, so
        dropping all near duplicates keeps one text per group, and chains of small changes are not dropped entirely.

        Args:
            texts: texts in order, after those of earlier calls.
            keys: keys of the texts, (texts,), ascending.
        """
        exact, near = np.full(len(texts), -1), np.full(len(texts), -1)
        for start, shingle_sets, bands in _chunks(texts):
            candidates = self._index.candidates(bands)
            for i, key in enumerate(keys[start : start + len(shingle_sets)].tolist()):
                text = normalise(texts[start + i])
                match = self._first_key.setdefault(text, key)
                if match != key:
                    exact[start + i] = match
                elif near_match := self._index.nearest(shingle_sets[i], bands[i], candidates[i]):
                    near[start + i] = near_match.key
                else:
                    self._index.add(key, text, bands[i])
        return Repeats(exact, near)


class ReferenceTexts:
    """Fixed index of reference texts.

    Args:
        texts: reference texts.
        keys: keys of the texts, (texts,).
    """

    def __init__(self, texts: Sequence[str], keys: np.ndarray) -> None:
        self._keys = keys
        self._index = MinHashIndex()
        self._first_key: dict[str, int] = {}
        for start, shingle_sets, bands in _chunks(texts):
            for i in range(len(shingle_sets)):
                text = normalise(texts[start + i])
                self._first_key.setdefault(text, start + i)
                self._index.add(start + i, text, bands[i])

    def repeats(self, texts: Sequence[str]) -> Repeats:
        """Find texts that repeat a reference text."""
        exact, near = np.full(len(texts), -1), np.full(len(texts), -1)
        for start, shingle_sets, bands in _chunks(texts):
            candidates = self._index.candidates(bands)
            for i in range(len(shingle_sets)):
                match = self._first_key.get(normalise(texts[start + i]))
                if match is not None:
                    exact[start + i] = self._keys[match]
                elif near_match := self._index.nearest(shingle_sets[i], bands[i], candidates[i]):
                    near[start + i] = self._keys[near_match.key]
        return Repeats(exact, near)


def _chunks(texts: Sequence[str]) -> Iterator[tuple[int, list[frozenset[str]], np.ndarray]]:
    """Yield chunks of texts: index of the first text, shingles and bands."""
    for start, stop in pairwise([*range(0, len(texts), CHUNK_TEXTS), len(texts)]):
        shingle_sets = [shingles(text) for text in texts[start:stop]]
        yield start, shingle_sets, minhash_bands(shingle_sets)


def _null_if_negative(keys: np.ndarray) -> pa.Array:
    return pa.array(keys, pa.int64(), mask=keys < 0)
