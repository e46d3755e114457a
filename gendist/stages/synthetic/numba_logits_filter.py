"""Temperature and top-p on a CPU, in Numba: one row of logits at a time, which stays in the processor's cache."""

import numpy as np
import torch

from gendist.nn.numba_math import exp32, max_float32, njit_fastmath
from gendist.stages.synthetic.logits_filter import (
    BOUND_TOLERANCE,
    MAX_BOUND_DISTANCE,
    FilteredLogits,
    LogitsFilter,
    ScoreBounds,
    score_margin,
)

SEARCH_STEP, BISECTIONS = 2, 12
"""Step in nats of the search for the nucleus' lowest score, and bisections of the interval that it finds."""


class NumbaLogitsFilter(LogitsFilter):
    """Same results as ``LogitsFilter`` up to rounding, from float32 logits on a CPU, without top-k."""

    def supports(self, logits: torch.Tensor) -> bool:
        """Return whether these logits, and the settings, are supported."""
        return logits.device.type == "cpu" and logits.dtype == torch.float32 and not self.settings.top_k

    def __call__(self, logits: torch.Tensor) -> FilteredLogits:
        """Filter logits (rows, vocabulary); the result shares buffers with the next call's."""
        scores = self.score_buffer(logits)
        log_total, kept = torch.empty(len(logits), 1), torch.empty(len(logits), self.blocks)
        filtered = self.settings.top_p < 1.0
        bounds, possible = torch.empty(3, len(logits), 1), torch.empty_like(kept) if filtered else kept
        _filter(
            logits.numpy(),
            np.float32(1 / self.settings.temperature),
            np.array(self.forbidden, np.int64),
            self.block_size,
            self.settings.top_p,
            score_margin(self.settings),
            scores.numpy(),
            log_total.numpy()[:, 0],
            kept.numpy(),
            possible.numpy(),
            bounds.numpy()[:, :, 0],
        )
        return FilteredLogits(
            scores.unflatten(1, (self.blocks, self.block_size)),
            log_total,
            kept.log_(),
            possible.log_() if filtered else kept,
            ScoreBounds(*bounds) if filtered else None,
        )


@njit_fastmath
def _sum(values: np.ndarray) -> np.float32:
    total = np.float32(0)
    for i in range(values.shape[0]):
        total += values[i]
    return total


@njit_fastmath
def _sum_above(values: np.ndarray, scores: np.ndarray, bound: np.float32) -> np.float32:
    """Sum the values whose scores are at least ``bound``."""
    total = np.float32(0)
    for i in range(values.shape[0]):
        total += values[i] if scores[i] >= bound else np.float32(0)
    return total


@njit_fastmath
def _select(scores: np.ndarray, low: np.float32, high: np.float32, selected: np.ndarray) -> int:
    """Copy the scores in [low, high) to the front of ``selected``, which has one more entry; return their number."""
    count = 0
    for i in range(scores.shape[0]):
        selected[count] = scores[i]
        count += (scores[i] >= low) & (scores[i] < high)
    return count


@njit_fastmath
def _bisect(
    scores: np.ndarray, weights: np.ndarray, low: np.float32, high: np.float32, mass: float
) -> tuple[np.float32, np.float32]:
    """Narrow [low, high]: tokens with scores of at least ``low`` have ``mass`` or more, of at least ``high`` less."""
    for _ in range(BISECTIONS):
        middle = np.float32(0.5) * (low + high)
        if _sum_above(weights, scores, middle) >= mass:
            low = middle
        else:
            high = middle
    return low, high


@njit_fastmath
def _nucleus_bounds(
    scores: np.ndarray,
    weights: np.ndarray,
    best: np.float32,
    mass: float,
    top_p: float,
    margin: float,
    bounds: np.ndarray,
) -> None:
    """Write the bounds (3,) of a row: the smallest sets of best tokens with top_p - margin, top_p, top_p + margin.

    The bounds are located to within a narrow band before any scores are sorted.
    """
    less, exact, more = (top_p - margin) * mass, top_p * mass, (top_p + margin) * mass
    lowest, slack = best - np.float32(MAX_BOUND_DISTANCE), np.float32(4 * margin)
    cut = best - np.float32(SEARCH_STEP)
    while cut > lowest and _sum_above(weights, scores, cut) < more:
        cut -= np.float32(SEARCH_STEP)
    near = np.empty(scores.shape[0] + 1, np.float32)
    near = near[: _select(scores, cut - slack, np.float32(np.inf), near)]
    near_weights = np.empty_like(near)
    for i in range(near.shape[0]):
        near_weights[i] = exp32(near[i] - best)
    high = _bisect(near, near_weights, cut, best + np.float32(1), less)[1]
    low = _bisect(near, near_weights, cut, best + np.float32(1), more)[0] - slack
    before = _sum_above(near_weights, near, high)
    first = before == 0.0
    band = np.empty(near.shape[0] + 1, np.float32)
    band = band[: _select(near, low, high, band)]
    band.sort()
    # Tokens below the band have lower scores: if the certain set ends above the band, its bound is above them.
    bounds[0], bounds[1], bounds[2] = low + margin, lowest, lowest
    found_certain = False
    for score in band[::-1]:
        if not found_certain and not first and before >= less:
            bounds[0] = score + margin
            found_certain = True
        if first or before < exact:  # the most probable token is always kept
            bounds[1] = score
        if first or before < more:
            bounds[2] = score - margin
        before += exp32(score - best)
        first = False
    for i in range(3):
        bounds[i] = max(bounds[i], lowest)


@njit_fastmath
def _filter(
    logits: np.ndarray,
    inverse_temperature: np.float32,
    forbidden: np.ndarray,
    block_size: int,
    top_p: float,
    margin: float,
    scores: np.ndarray,
    log_total: np.ndarray,
    kept: np.ndarray,
    possible: np.ndarray,
    bounds: np.ndarray,
) -> None:
    """Write scores (rows, padded vocabulary), log_total (rows,), kept and possible (rows, blocks), bounds (3, rows)."""
    weights = np.empty(scores.shape[1], np.float32)
    for row in range(logits.shape[0]):
        vocabulary = logits.shape[1]
        for i in range(vocabulary):
            scores[row, i] = logits[row, i] * inverse_temperature
        for i in forbidden:
            scores[row, i] = -np.inf
        best = max_float32(scores[row])
        for i in range(scores.shape[1]):
            weights[i] = exp32(scores[row, i] - best)
        mass = 0.0
        for b in range(kept.shape[1]):
            kept[row, b] = _sum(weights[b * block_size : (b + 1) * block_size])
            mass += kept[row, b]
        log_total[row] = best + np.log(mass)
        if top_p == 1.0:
            for b in range(kept.shape[1]):
                kept[row, b] /= mass
        else:
            _nucleus_bounds(scores[row], weights, best, mass, top_p, margin, bounds[:, row])
            low, lowest = bounds[1, row] - BOUND_TOLERANCE, bounds[2, row] - BOUND_TOLERANCE
            for b in range(kept.shape[1]):
                part = slice(b * block_size, (b + 1) * block_size)
                kept[row, b] = _sum_above(weights[part], scores[row, part], low) / mass
                possible[row, b] = _sum_above(weights[part], scores[row, part], lowest) / mass
