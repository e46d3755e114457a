"""Where predictions go wrong: confusion, scores of each class with intervals, calibration by bins."""

from typing import NamedTuple

import numpy as np

from gendist.stages.evaluation.metrics import BINS

SCORES = ("precision", "recall", "f1")
BOOTSTRAP_SAMPLES = 1000
"""Bootstrap samples."""
_SAMPLES_PER_CHUNK = 50
"""Samples that are drawn at once: it bounds the memory, not the result."""


class ReliabilityBins(NamedTuple):
    """A reliability diagram (Guo et al. 2017, On Calibration of Modern Neural Networks, section 2)."""

    rows: np.ndarray
    """(bins,) predictions in each bin."""
    confidence: np.ndarray
    """(bins,) their mean probability of the top class; NaN in an empty bin."""
    accuracy: np.ndarray
    """(bins,) share of them that are right; NaN in an empty bin."""

    @property
    def ece(self) -> float:
        """Expected calibration error, 0 to 1."""
        filled = self.rows > 0
        gaps = np.abs(self.confidence - self.accuracy)[filled]
        return float(np.average(gaps, weights=self.rows[filled]))


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Count gold classes (rows) against predicted ones (columns).

    Args:
        labels: (rows,) gold classes.
        predicted: (rows,), or (runs, rows) whose counts are summed.
        classes: number of classes.

    Returns:
        (classes, classes) counts.
    """
    runs = np.atleast_2d(predicted)
    pairs = np.broadcast_to(labels, runs.shape) * classes + runs
    return np.bincount(pairs.ravel(), minlength=classes**2).reshape(classes, classes)


def class_scores(counts: np.ndarray) -> np.ndarray:
    """Return precision, recall and F1 of each class, (classes, 3), 0 to 1.

    NaN where a score is undefined: the precision of a class that is never predicted, the recall of
    one without rows.

    Args:
        counts: (classes, classes) from ``confusion_matrix``.
    """
    return _scores(np.diagonal(counts), counts.sum(axis=0), counts.sum(axis=1))


def bootstrap_intervals(
    labels: np.ndarray, predicted: np.ndarray, classes: int, *, samples: int = BOOTSTRAP_SAMPLES, seed: int = 0
) -> np.ndarray:
    """Return 95 % intervals of precision, recall and F1: percentile bootstrap over the test rows.

    All runs keep the same rows in a sample, so the intervals are those of another draw of test
    rows, not of another seed of the training.

    Args:
        labels: (rows,) gold classes.
        predicted: (runs, rows) predicted classes.
        classes: number of classes.
        samples: bootstrap samples.
        seed: of the bootstrap.

    Returns:
        (2, classes, 3): lower and upper ends; NaN where no sample defines the score.
    """
    named = np.zeros((len(labels), classes))  # how often each row was given each class
    for run in np.atleast_2d(predicted):
        named[np.arange(len(labels)), run] += 1
    gold = np.zeros_like(named)
    gold[np.arange(len(labels)), labels] = len(np.atleast_2d(predicted))
    right = np.where(gold > 0, named, 0)
    rng = np.random.default_rng(seed)
    drawn = []
    for first in range(0, samples, _SAMPLES_PER_CHUNK):
        times = [
            np.bincount(rng.integers(0, len(labels), len(labels)), minlength=len(labels))
            for _ in range(min(_SAMPLES_PER_CHUNK, samples - first))
        ]
        weights = np.array(times, dtype=float)  # (samples of the chunk, rows)
        drawn.append(_scores(weights @ right, weights @ named, weights @ gold))
    scores = np.concatenate(drawn).reshape(samples, -1)
    ends = np.full((2, scores.shape[1]), np.nan)
    for place, values in enumerate(scores.T):
        defined = values[~np.isnan(values)]
        if len(defined):
            ends[:, place] = np.percentile(defined, (2.5, 97.5))
    return ends.reshape(2, classes, len(SCORES))


def reliability_bins(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> ReliabilityBins:
    """Sort predictions by the probability of their top class into bins of equal width.

    Args:
        labels: (rows,) gold classes.
        probabilities: (rows, classes).
        bins: number of bins; bin m holds the probabilities in ((m - 1) / bins, m / bins].
    """
    top = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    place = np.clip(np.ceil(top * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        confidence, accuracy = (np.bincount(place, weights=w, minlength=bins) / count for w in (top, right))
    return ReliabilityBins(count, confidence, accuracy)


def _scores(right: np.ndarray, named: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Stack precision, recall and F1 on a last axis, from counts (..., classes)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = np.stack([right / named, right / gold, 2 * right / (named + gold)], axis=-1)
    return np.where(np.isfinite(scores), scores, np.nan)
