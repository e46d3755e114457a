"""Confusion matrix, per-class scores with bootstrap intervals, and reliability diagram."""

from typing import NamedTuple

import numpy as np

from gendist.stages.evaluation.metrics import BINS

SCORES = ("precision", "recall", "f1")
BOOTSTRAP_SAMPLES = 1000
"""Bootstrap samples."""
_SAMPLES_PER_CHUNK = 50
"""Samples per chunk; limits memory, does not change the result."""


class ReliabilityBins(NamedTuple):
    """A reliability diagram (Guo et al. 2017, On Calibration of Modern Neural Networks, section 2)."""

    rows: np.ndarray
    """(bins,) predictions in each bin."""
    confidence: np.ndarray
    """(bins,) their mean probability of the top class; NaN in an empty bin."""
    accuracy: np.ndarray
    """(bins,) their accuracy; NaN in an empty bin."""

    @property
    def ece(self) -> float:
        """Expected calibration error, 0 to 1."""
        non_empty = self.rows > 0
        gaps = np.abs(self.confidence - self.accuracy)[non_empty]
        return float(np.average(gaps, weights=self.rows[non_empty]))


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Count gold classes (rows) against predicted ones (columns).

    Args:
        labels: (rows,) gold classes.
        predicted: (rows,), or (runs, rows) to sum over runs.
        classes: number of classes.

    Returns:
        (classes, classes) counts.
    """
    runs = np.atleast_2d(predicted)
    pairs = np.broadcast_to(labels, runs.shape) * classes + runs
    return np.bincount(pairs.ravel(), minlength=classes**2).reshape(classes, classes)


def class_scores(counts: np.ndarray) -> np.ndarray:
    """Return precision, recall and F1 of each class, (classes, 3), 0 to 1.

    Undefined scores are NaN: precision of a class without predictions, recall of a class without rows.

    Args:
        counts: (classes, classes) from ``confusion_matrix``.
    """
    return _scores(np.diagonal(counts), counts.sum(axis=0), counts.sum(axis=1))


def bootstrap_intervals(
    labels: np.ndarray, predicted: np.ndarray, classes: int, *, samples: int = BOOTSTRAP_SAMPLES, seed: int = 0
) -> np.ndarray:
    """Return 95 % intervals of precision, recall and F1: percentile bootstrap over the test rows.

    Each sample uses the same rows for all runs: the intervals cover the sampling of test rows, not the
    training seeds.

    Args:
        labels: (rows,) gold classes.
        predicted: (runs, rows) predicted classes.
        classes: number of classes.
        samples: bootstrap samples.
        seed: seed of the bootstrap.

    Returns:
        (2, classes, 3): lower and upper bounds; NaN if every sample is undefined.
    """
    n_predicted = np.zeros((len(labels), classes))  # number of runs that predict each class, per row
    for run in np.atleast_2d(predicted):
        n_predicted[np.arange(len(labels)), run] += 1
    n_gold = np.zeros_like(n_predicted)
    n_gold[np.arange(len(labels)), labels] = len(np.atleast_2d(predicted))
    n_correct = np.where(n_gold > 0, n_predicted, 0)
    rng = np.random.default_rng(seed)
    drawn = []
    for first in range(0, samples, _SAMPLES_PER_CHUNK):
        draws = [
            np.bincount(rng.integers(0, len(labels), len(labels)), minlength=len(labels))
            for _ in range(min(_SAMPLES_PER_CHUNK, samples - first))
        ]
        weights = np.array(draws, dtype=float)  # (samples of the chunk, rows)
        drawn.append(_scores(weights @ n_correct, weights @ n_predicted, weights @ n_gold))
    scores = np.concatenate(drawn).reshape(samples, -1)
    bounds = np.full((2, scores.shape[1]), np.nan)
    for i, values in enumerate(scores.T):
        defined = values[~np.isnan(values)]
        if len(defined):
            bounds[:, i] = np.percentile(defined, (2.5, 97.5))
    return bounds.reshape(2, classes, len(SCORES))


def reliability_bins(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> ReliabilityBins:
    """Group predictions by the probability of their top class into bins of equal width.

    Args:
        labels: (rows,) gold classes.
        probabilities: (rows, classes).
        bins: number of bins; bin m covers the probabilities in ((m - 1) / bins, m / bins].
    """
    top = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bin_index = np.clip(np.ceil(top * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(bin_index, minlength=bins)
    with np.errstate(invalid="ignore"):
        confidence, accuracy = (np.bincount(bin_index, weights=w, minlength=bins) / count for w in (top, correct))
    return ReliabilityBins(count, confidence, accuracy)


def _scores(n_correct: np.ndarray, n_predicted: np.ndarray, n_gold: np.ndarray) -> np.ndarray:
    """Stack precision, recall and F1 on a last axis, from counts (..., classes)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = np.stack(
            [n_correct / n_predicted, n_correct / n_gold, 2 * n_correct / (n_predicted + n_gold)], axis=-1
        )
    return np.where(np.isfinite(scores), scores, np.nan)
