"""Training rows of each regime, and length-bucketed batches of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from gendist.errors import GendistError
from gendist.naming import WITH_SYNTHETIC, WITH_UNLABELLED
from gendist.stages.logits.logits_files import read_logits
from gendist.stages.students.piece_ids import Encoded, pack
from gendist.stages.students.row_filters import KEEP_ALL, RowFilter, filter_rows
from gendist.stages.synthetic.pool import read_pool
from gendist.stages.texts.text_tables import Texts, read_unlabelled

BUCKET_BATCHES = 16
"""Batches that are sorted by length together."""


@dataclass(frozen=True)
class TrainingRows:
    """Texts with either gold or hard ``labels`` (rows,) or the teacher's ``logits`` (rows, classes)."""

    texts: list[str]
    labels: torch.Tensor | None
    logits: torch.Tensor | None
    n_real: int
    """Labelled rows; they stand first, then come unlabelled and then synthetic ones."""

    def without(self, places: np.ndarray) -> "TrainingRows":
        """Return all rows but those at ``places``, which are numbers of real rows."""
        kept = np.delete(np.arange(len(self.texts)), places)
        return TrainingRows(
            [self.texts[i] for i in kept],
            None if self.labels is None else self.labels[kept],
            None if self.logits is None else self.logits[kept],
            self.n_real - len(places),
        )


@dataclass(frozen=True)
class SyntheticFiles:
    """Files of the synthetic rows: shards, the teacher's logits of each, and how many rows to use."""

    shards: Sequence[Path]
    logits: Sequence[Path]
    count: int
    repeats: Path | None = None
    """What those rows repeat, for filters that ask for it."""


@dataclass(frozen=True)
class UnlabelledFiles:
    """Files of real rows without labels: texts, the teacher's logits of them, and how many rows to use."""

    texts: Path
    logits: Path
    count: int | None = None
    """The first so many; None uses all."""


def assemble_training_rows(
    regime: str,
    real: Texts,
    real_logits: Path | None,
    synthetic: SyntheticFiles | None,
    selection: RowFilter = KEEP_ALL,
    unlabelled: UnlabelledFiles | None = None,
) -> TrainingRows:
    """Assemble the rows that a regime trains on; of the synthetic ones, those that ``selection`` keeps.

    - scratch: real rows, gold labels.
    - dist: real rows, teacher logits.
    - gendist: real and synthetic rows, teacher logits (paper section 3.3).
    - synthetic: synthetic rows alone, teacher logits (Figure 2).
    - hard: real rows with gold labels, synthetic rows with the teacher's most probable class (Table 2).
    - unlabelled: labelled rows, and further real rows without labels, teacher logits.
    - gendist-unlabelled: those, and synthetic rows after them, teacher logits.
    """
    gold = torch.from_numpy(real.labels)
    n_real = len(real.texts)
    if regime == "scratch":
        return TrainingRows(real.texts, gold, None, n_real)
    parts: list[tuple[list[str], torch.Tensor]] = []
    if regime in WITH_UNLABELLED:
        if unlabelled is None:
            raise GendistError(f"regime '{regime}' needs unlabelled rows and their logits")
        parts.append(_unlabelled_rows(unlabelled))
    if regime in WITH_SYNTHETIC:
        if synthetic is None:
            raise GendistError(f"regime '{regime}' needs synthetic shards and their logits")
        texts, synthetic_logits = _synthetic_rows(synthetic, selection)
        if regime == "hard":
            return TrainingRows(real.texts + texts, torch.cat([gold, synthetic_logits.argmax(1)]), None, n_real)
        if regime == "synthetic":
            return TrainingRows(texts, None, synthetic_logits, 0)
        parts.append((texts, synthetic_logits))
    if real_logits is None:
        raise GendistError(f"regime '{regime}' needs the teacher's logits of the real rows")
    ids, logits = read_logits([real_logits], "id")
    if not np.array_equal(ids, real.ids):
        raise GendistError(f"{real_logits}: ids differ from those of the training texts")
    targets = torch.cat([torch.from_numpy(logits), *(scores for _, scores in parts)])
    return TrainingRows(real.texts + [text for texts, _ in parts for text in texts], None, targets, n_real)


def _unlabelled_rows(unlabelled: UnlabelledFiles) -> tuple[list[str], torch.Tensor]:
    ids, texts = read_unlabelled(unlabelled.texts)
    keys, logits = read_logits([unlabelled.logits], "id")
    if not np.array_equal(keys, ids):
        raise GendistError(f"{unlabelled.logits}: ids differ from those of {unlabelled.texts}")
    count = len(texts) if unlabelled.count is None else unlabelled.count
    if count > len(texts):
        raise GendistError(f"{unlabelled.texts}: {len(texts)} rows, but {count} are asked for")
    return texts[:count], torch.from_numpy(logits[:count])


def _synthetic_rows(synthetic: SyntheticFiles, selection: RowFilter) -> tuple[list[str], torch.Tensor]:
    pool = read_pool(synthetic.shards, synthetic.count)
    keys, logits = read_logits(synthetic.logits, "row", synthetic.count)
    if not np.array_equal(keys, np.arange(synthetic.count)):
        raise GendistError(f"{synthetic.logits[0]} and following: not the logits of rows 0 to {synthetic.count - 1}")
    logits = logits[pool.rows]
    places = filter_rows(selection, pool.rows, logits, synthetic.repeats)
    return [pool.texts[i] for i in places], torch.from_numpy(logits[places])


def real_rows_per_batch(n_real: int, n_rows: int, size: int, real_share: float | None) -> int:
    """Return how many rows of a batch are real ones put beside synthetic; 0 where rows come as they are."""
    if real_share is None or not 0 < n_real < n_rows:
        return 0
    return min(max(1, round(real_share * size)), size - 1, n_real)


def iter_batches(
    encoded: Encoded, size: int, rng: np.random.Generator, n_real: int = 0, beside: int = 0
) -> Iterator[tuple[torch.Tensor, torch.Tensor, np.ndarray]]:
    """Yield one epoch of (ids, mask, row numbers), batch by batch as ``epoch_batches`` draws them."""
    encoded = pack(encoded)
    for picks in epoch_batches(encoded.lengths, size, rng, n_real, beside):
        yield *encoded.padded(picks), picks


def epoch_batches(
    sizes: np.ndarray, size: int, rng: np.random.Generator, n_real: int = 0, beside: int = 0
) -> list[np.ndarray]:
    """Return the row numbers of each batch of one epoch in random order, rows of like length together.

    Args:
        sizes: (rows,) pieces of each row, the real ones first.
        size: rows in a batch.
        rng: decides the order.
        n_real: real rows; looked at only with ``beside``.
        beside: real rows in each batch (from ``real_rows_per_batch``); the epoch is then one of the synthetic rows,
            and the real ones come as often as that takes.
    """
    first = n_real if beside else 0
    order = first + rng.permutation(len(sizes) - first)
    real = _repeated_permutations(n_real, rng)
    share = size - beside
    picks = []
    for i in range(0, len(order), BUCKET_BATCHES * share):
        parts = _length_sorted_batches(order[i : i + BUCKET_BATCHES * share], share, sizes)
        if beside:
            drawn = np.fromiter((next(real) for _ in range(len(parts) * beside)), np.int64)
            mixed = zip(parts, _length_sorted_batches(drawn, beside, sizes), strict=True)
            parts = [np.concatenate(pair) for pair in mixed]
        picks += parts
    return [picks[place] for place in rng.permutation(len(picks))]


def _length_sorted_batches(rows: np.ndarray, size: int, sizes: np.ndarray) -> list[np.ndarray]:
    by_length = rows[np.argsort(sizes[rows], kind="stable")]
    return [by_length[i : i + size] for i in range(0, len(by_length), size)]


def _repeated_permutations(count: int, rng: np.random.Generator) -> Iterator[int]:
    """Yield row numbers below ``count``, all of them before any comes again."""
    while True:
        yield from rng.permutation(count)


def apply_token_dropout(ids: torch.Tensor, mask: torch.Tensor, share: float) -> torch.Tensor:
    """Replace pieces by id 0 at random, each row at a rate of its own between 0 and twice ``share``.

    Ids and mask are (..., rows, pieces). Id 0 (padding, BPEmb's unknown piece) has a vector that learns what
    "something stood here" means; real padding stays masked.
    """
    rate = 2 * share * torch.rand(*ids.shape[:-1], 1, device=ids.device)
    return ids.masked_fill((torch.rand(ids.shape, device=ids.device) < rate) & (mask > 0), 0)
