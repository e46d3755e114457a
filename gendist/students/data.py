"""Training rows of each regime, and length-bucketed batches of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from gendist.errors import GendistError
from gendist.logits.files import read_logits
from gendist.padding import padded
from gendist.synthetic.pool import read_pool
from gendist.texts.tables import Texts

BUCKET = 16
"""Batches that are sorted by length together."""


@dataclass(frozen=True)
class TrainingRows:
    """Texts with either gold or hard ``labels`` (rows,) or the teacher's ``logits`` (rows, classes)."""

    texts: list[str]
    labels: torch.Tensor | None
    logits: torch.Tensor | None


@dataclass(frozen=True)
class Synthetic:
    """Files of the synthetic rows: shards, the teacher's logits of each, and how many rows to use."""

    shards: Sequence[Path]
    logits: Sequence[Path]
    count: int


def training_rows(regime: str, real: Texts, real_logits: Path | None, synthetic: Synthetic | None) -> TrainingRows:
    """Assemble the rows that a regime trains on.

    - scratch: real rows, gold labels.
    - dist: real rows, teacher logits.
    - gendist: real and synthetic rows, teacher logits (paper section 3.3).
    - synthetic: synthetic rows alone, teacher logits (Figure 2).
    - hard: real rows with gold labels, synthetic rows with the teacher's most probable class (Table 2).
    """
    gold = torch.from_numpy(real.labels)
    if regime == "scratch":
        return TrainingRows(real.texts, gold, None)
    if regime in ("gendist", "synthetic", "hard"):
        if synthetic is None:
            raise GendistError(f"regime '{regime}' needs synthetic shards and their logits")
        texts, synthetic_logits = _synthetic_rows(synthetic)
        if regime == "hard":
            return TrainingRows(real.texts + texts, torch.cat([gold, synthetic_logits.argmax(1)]), None)
        if regime == "synthetic":
            return TrainingRows(texts, None, synthetic_logits)
    if real_logits is None:
        raise GendistError(f"regime '{regime}' needs the teacher's logits of the real rows")
    ids, logits = read_logits([real_logits], "id")
    if not np.array_equal(ids, real.ids):
        raise GendistError(f"{real_logits}: ids differ from those of the training texts")
    if regime == "dist":
        return TrainingRows(real.texts, None, torch.from_numpy(logits))
    return TrainingRows(real.texts + texts, None, torch.cat([torch.from_numpy(logits), synthetic_logits]))


def _synthetic_rows(synthetic: Synthetic) -> tuple[list[str], torch.Tensor]:
    pool = read_pool(synthetic.shards, synthetic.count)
    keys, logits = read_logits(synthetic.logits, "row", synthetic.count)
    if not np.array_equal(keys, np.arange(synthetic.count)):
        raise GendistError(f"{synthetic.logits[0]} and following: not the logits of rows 0 to {synthetic.count - 1}")
    return pool.texts, torch.from_numpy(logits[pool.rows])


def batches(
    encoded: Sequence[list[int]], size: int, rng: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor, np.ndarray]]:
    """Yield one epoch of (ids, mask, row numbers) in random order, rows of like length together."""
    order = rng.permutation(len(encoded))
    buckets = [order[i : i + BUCKET * size] for i in range(0, len(order), BUCKET * size)]
    picks = []
    for bucket in buckets:
        by_length = np.array(sorted(bucket, key=lambda i: len(encoded[i])))
        picks += [by_length[i : i + size] for i in range(0, len(by_length), size)]
    for place in rng.permutation(len(picks)):
        ids, mask = padded([encoded[i] for i in picks[place]])
        yield ids, mask.float(), picks[place]
