"""Length-bucketed batches of training rows, and token dropout."""

from collections.abc import Iterator

import numpy as np
import torch

from gendist.stages.students.piece_ids import Encoded, as_piece_ids

BUCKET_BATCHES = 16
"""Batches per length bucket: rows are sorted by length within a bucket."""


def real_rows_per_batch(n_real: int, n_rows: int, batch_size: int, real_share: float | None) -> int:
    """Return the number of real rows in each mixed batch; 0 if rows are not mixed by share."""
    if real_share is None or not 0 < n_real < n_rows:
        return 0
    return min(max(1, round(real_share * batch_size)), batch_size - 1, n_real)


def iter_batches(
    encoded: Encoded, batch_size: int, rng: np.random.Generator, *, n_real: int = 0, n_real_per_batch: int = 0
) -> Iterator[tuple[torch.Tensor, torch.Tensor, np.ndarray]]:
    """Yield (ids, mask, row indices) of each batch of one epoch; see ``epoch_batches``."""
    encoded = as_piece_ids(encoded)
    order = epoch_batches(encoded.lengths, batch_size, rng, n_real=n_real, n_real_per_batch=n_real_per_batch)
    for rows in order:
        yield *encoded.padded(rows), rows


def epoch_batches(
    lengths: np.ndarray, batch_size: int, rng: np.random.Generator, *, n_real: int = 0, n_real_per_batch: int = 0
) -> list[np.ndarray]:
    """Return the row indices of each batch of one epoch, shuffled and bucketed by length.

    Args:
        lengths: (rows,) pieces of each row, real rows first.
        batch_size: rows per batch.
        rng: random generator of the order.
        n_real: number of real rows; used only with ``n_real_per_batch``.
        n_real_per_batch: real rows in each batch (from ``real_rows_per_batch``). The epoch then covers the synthetic
            rows once, and repeats the real rows as often as needed.
    """
    first = n_real if n_real_per_batch else 0
    order = first + rng.permutation(len(lengths) - first)
    real = _repeated_permutations(n_real, rng)
    n_other = batch_size - n_real_per_batch
    batches = []
    for i in range(0, len(order), BUCKET_BATCHES * n_other):
        bucket = _length_sorted_batches(order[i : i + BUCKET_BATCHES * n_other], n_other, lengths)
        if n_real_per_batch:
            drawn = np.fromiter((next(real) for _ in range(len(bucket) * n_real_per_batch)), np.int64)
            pairs = zip(bucket, _length_sorted_batches(drawn, n_real_per_batch, lengths), strict=True)
            bucket = [np.concatenate(pair) for pair in pairs]
        batches += bucket
    return [batches[i] for i in rng.permutation(len(batches))]


def _length_sorted_batches(rows: np.ndarray, batch_size: int, lengths: np.ndarray) -> list[np.ndarray]:
    by_length = rows[np.argsort(lengths[rows], kind="stable")]
    return [by_length[i : i + batch_size] for i in range(0, len(by_length), batch_size)]


def _repeated_permutations(n: int, rng: np.random.Generator) -> Iterator[int]:
    """Yield endless random permutations of range(n), one index at a time."""
    while True:
        yield from rng.permutation(n)


def apply_token_dropout(ids: torch.Tensor, mask: torch.Tensor, rate: float) -> torch.Tensor:
    """Replace random pieces by id 0; the rate of each row is uniform between 0 and twice ``rate``.

    Id 0 is padding (BPEmb: unknown); its embedding learns to stand for a missing piece. Padding stays masked.

    Args:
        ids: piece ids (..., rows, pieces).
        mask: 1 for pieces, 0 for padding, of the same shape.
        rate: mean share of dropped pieces.
    """
    row_rates = 2 * rate * torch.rand(*ids.shape[:-1], 1, device=ids.device)
    return ids.masked_fill((torch.rand(ids.shape, device=ids.device) < row_rates) & (mask > 0), 0)
