"""Which generated rows repeat an earlier one, or a real training row: a file that filters and reports read."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from gendist.artifacts import Provenance, hash_file, write_parquet
from gendist.quality.marks import SCHEMA
from gendist.quality.overlap import longest_runs, normalised, similarities
from gendist.quality.shingles import JACCARD, WIDTH, NearIndex, shingles, sketches
from gendist.synthetic.pool import read_pool
from gendist.texts.tables import read_texts

log = logging.getLogger(__name__)


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
    real, pool = read_texts(train), read_pool(shards, count)
    texts = pool.texts
    nearest = [(c.argmax(axis=1), c.max(axis=1)) for c in similarities(real.texts, texts, train)]
    place, cosine = (np.concatenate(parts) for parts in zip(*nearest, strict=True))
    earlier = repeats_of_earlier(texts, pool.rows)
    copied = repeats_of_others(texts, real.texts, real.ids)
    columns = {
        "row": pool.rows,
        "duplicate_of": _or_null(earlier.exact),
        "near_duplicate_of": _or_null(earlier.near),
        "copy_of": _or_null(copied.exact),
        "near_copy_of": _or_null(copied.near),
        "longest_run": longest_runs(real.texts, texts),
        "nearest_id": real.ids[place],
        "nearest_similarity": np.round(cosine, 6),
    }
    inputs = {"train": hash_file(train)} | {f"shards/{i:05d}": hash_file(file) for i, file in enumerate(shards)}
    settings = {"count": count, "jaccard": JACCARD, "shingle": WIDTH}
    write_parquet(out, pa.table(columns, schema=SCHEMA), Provenance("quality", inputs, settings))
    found = [int((keys >= 0).sum()) for keys in (earlier.exact, earlier.near, copied.exact, copied.near)]
    log.info("%d rows: %d duplicates, %d near; %d copies of training rows, %d near", len(texts), *found)


def repeats_of_earlier(texts: Sequence[str], keys: np.ndarray) -> Repeats:
    """Find the texts that repeat an earlier one.

    A near duplicate names the most similar of the earlier texts that are no near duplicates themselves: dropping
    all that name another leaves one of every group, and no chain of small changes is dropped link by link.

    Args:
        texts: in order.
        keys: (texts,) what each is called.
    """
    cut = [shingles(text) for text in texts]
    index = NearIndex()
    first: dict[str, int] = {}
    exact, near = np.full(len(texts), -1), np.full(len(texts), -1)
    for i, (text, sketch) in enumerate(zip(texts, sketches(cut), strict=True)):
        same = first.setdefault(normalised(text), i)
        if same < i:
            exact[i] = keys[same]
        elif match := index.nearest(cut[i], sketch):
            near[i] = keys[match.key]
        else:
            index.add(i, cut[i], sketch)
    return Repeats(exact, near)


def repeats_of_others(texts: Sequence[str], others: Sequence[str], keys: np.ndarray) -> Repeats:
    """Find the texts that repeat one of ``others``, which are called ``keys`` (others,)."""
    index = NearIndex()
    first: dict[str, int] = {}
    cut = [shingles(text) for text in others]
    for i, sketch in enumerate(sketches(cut)):
        first.setdefault(normalised(others[i]), i)
        index.add(i, cut[i], sketch)
    exact, near = np.full(len(texts), -1), np.full(len(texts), -1)
    asked = [shingles(text) for text in texts]
    for i, sketch in enumerate(sketches(asked)):
        same = first.get(normalised(texts[i]))
        if same is not None:
            exact[i] = keys[same]
        elif match := index.nearest(asked[i], sketch):
            near[i] = keys[match.key]
    return Repeats(exact, near)


def _or_null(keys: np.ndarray) -> pa.Array:
    return pa.array(keys, pa.int64(), mask=keys < 0)
