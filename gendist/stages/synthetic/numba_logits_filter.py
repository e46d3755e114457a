"""What the next tokens weigh, on a CPU: a row of logits at a time, which stays in the processor's cache."""

import numpy as np
import torch

from gendist.nn.numba_math import compiled_loosely, exp32, largest
from gendist.stages.synthetic.logits_filter import FAR, NEAR, Weighed, Weigher, margin

STRIDE, HALVINGS = 2, 12
"""Nats at which a nucleus' end is looked for first, and how often what lies between is halved then."""


class FusedWeigher(Weigher):
    """The same weights as ``Weigher``, but for their last digits, from float32 logits on a CPU, without top-k."""

    def takes(self, logits: torch.Tensor) -> bool:
        """Say whether these logits can be weighed here."""
        return logits.device.type == "cpu" and logits.dtype == torch.float32 and not self.settings.top_k

    def __call__(self, logits: torch.Tensor) -> Weighed:
        """Weigh the logits (rows, vocabulary); the result lasts until the next call."""
        scores = self.memory(logits)
        total, totals = torch.empty(len(logits), 1), torch.empty(len(logits), self.blocks)
        filtered = self.settings.top_p < 1.0
        bounds, most = torch.empty(3, len(logits), 1), torch.empty_like(totals) if filtered else totals
        _weigh(
            logits.numpy(),
            np.float32(1 / self.settings.temperature),
            np.array(self.forbidden, np.int64),
            self.block,
            self.settings.top_p,
            margin(self.settings),
            scores.numpy(),
            total.numpy()[:, 0],
            totals.numpy(),
            most.numpy(),
            bounds.numpy()[:, :, 0],
        )
        surely, here, possibly = bounds
        folded = scores.unflatten(1, (self.blocks, self.block))
        return Weighed(
            folded,
            total,
            totals.log_(),
            most.log_() if filtered else totals,
            (surely, here, possibly) if filtered else None,
        )


@compiled_loosely
def _sum(values: np.ndarray) -> np.float32:
    total = np.float32(0)
    for i in range(values.shape[0]):
        total += values[i]
    return total


@compiled_loosely
def _sum_of_reaching(values: np.ndarray, scores: np.ndarray, bound: np.float32) -> np.float32:
    total = np.float32(0)
    for i in range(values.shape[0]):
        total += values[i] if scores[i] >= bound else np.float32(0)
    return total


@compiled_loosely
def _pick(scores: np.ndarray, low: np.float32, high: np.float32, kept: np.ndarray) -> int:
    """Copy the scores from ``low`` to below ``high`` to the front of ``kept``, which is longer; return how many."""
    count = 0
    for i in range(scores.shape[0]):
        kept[count] = scores[i]
        count += (scores[i] >= low) & (scores[i] < high)
    return count


@compiled_loosely
def _between(
    scores: np.ndarray, shares: np.ndarray, low: np.float32, high: np.float32, wanted: float
) -> tuple[np.float32, np.float32]:
    """Narrow down two scores: of at least ``low``, tokens have the wanted mass; of at least ``high``, less."""
    for _ in range(HALVINGS):
        middle = np.float32(0.5) * (low + high)
        if _sum_of_reaching(shares, scores, middle) >= wanted:
            low = middle
        else:
            high = middle
    return low, high


@compiled_loosely
def _nucleus(
    scores: np.ndarray,
    shares: np.ndarray,
    best: np.float32,
    mass: float,
    top_p: float,
    margin: float,
    bounds: np.ndarray,
) -> None:
    """Fill the bounds (3,) of a row: the fewest best tokens that have a share of the mass, which is a bit less or more.

    Most tokens are too far below the best, and where the bounds lie is narrowed down before any are sorted.
    """
    less, here, more = (top_p - margin) * mass, top_p * mass, (top_p + margin) * mass
    lowest, slack = best - np.float32(FAR), np.float32(4 * margin)
    cut = best - np.float32(STRIDE)
    while cut > lowest and _sum_of_reaching(shares, scores, cut) < more:
        cut -= np.float32(STRIDE)
    near = np.empty(scores.shape[0] + 1, np.float32)
    near = near[: _pick(scores, cut - slack, np.float32(np.inf), near)]
    weights = np.empty_like(near)
    for i in range(near.shape[0]):
        weights[i] = exp32(near[i] - best)
    high = _between(near, weights, cut, best + np.float32(1), less)[1]
    low = _between(near, weights, cut, best + np.float32(1), more)[0] - slack
    before = _sum_of_reaching(weights, near, high)
    first = before == 0.0
    band = np.empty(near.shape[0] + 1, np.float32)
    band = band[: _pick(near, low, high, band)]
    band.sort()
    # What is not in the band is lower still: should it begin with the token after the fewest, the bound is above it.
    bounds[0], bounds[1], bounds[2] = low + margin, lowest, lowest
    surely_found = False
    for score in band[::-1]:
        if not surely_found and not first and before >= less:
            bounds[0] = score + margin
            surely_found = True
        if first or before < here:  # the best always stays
            bounds[1] = score
        if first or before < more:
            bounds[2] = score - margin
        before += exp32(score - best)
        first = False
    for i in range(3):
        bounds[i] = max(bounds[i], lowest)


@compiled_loosely
def _weigh(
    logits: np.ndarray,
    sharpness: np.float32,
    forbidden: np.ndarray,
    block: int,
    top_p: float,
    margin: float,
    scores: np.ndarray,
    total: np.ndarray,
    totals: np.ndarray,
    most: np.ndarray,
    bounds: np.ndarray,
) -> None:
    """Fill scores (rows, vocabulary and padding), total (rows,), totals and most (rows, blocks), bounds (3, rows)."""
    shares = np.empty(scores.shape[1], np.float32)
    for row in range(logits.shape[0]):
        vocabulary = logits.shape[1]
        for i in range(vocabulary):
            scores[row, i] = logits[row, i] * sharpness
        for i in forbidden:
            scores[row, i] = -np.inf
        best = largest(scores[row])
        for i in range(scores.shape[1]):
            shares[i] = exp32(scores[row, i] - best)
        mass = 0.0
        for b in range(totals.shape[1]):
            totals[row, b] = _sum(shares[b * block : (b + 1) * block])
            mass += totals[row, b]
        total[row] = best + np.log(mass)
        if top_p == 1.0:
            for b in range(totals.shape[1]):
                totals[row, b] /= mass
        else:
            _nucleus(scores[row], shares, best, mass, top_p, margin, bounds[:, row])
            for b in range(totals.shape[1]):
                part = slice(b * block, (b + 1) * block)
                totals[row, b] = _sum_of_reaching(shares[part], scores[row, part], bounds[1, row] - NEAR) / mass
                most[row, b] = _sum_of_reaching(shares[part], scores[row, part], bounds[2, row] - NEAR) / mass
