"""Measures of the teacher's predictions: classes, balance, confidence, agreement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gendist.analysis.quality.text_statistics import quantiles

CONFIDENCE_LEVELS = (0.5, 0.9)
"""Thresholds of the top probability at which rows are counted."""


@dataclass(frozen=True)
class TeacherScores:
    """The teacher's predicted distributions."""

    probabilities: np.ndarray
    """(rows, classes) float64."""

    @classmethod
    def from_logits(cls, logits: np.ndarray) -> "TeacherScores":
        """Apply the softmax to logits (rows, classes)."""
        exps = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
        return cls(exps / exps.sum(axis=1, keepdims=True))

    @property
    def predicted(self) -> np.ndarray:
        """The most probable class of each row, (rows,)."""
        return self.probabilities.argmax(axis=1)

    @property
    def confidence(self) -> np.ndarray:
        """Probability of the most probable class, (rows,)."""
        return self.probabilities.max(axis=1)

    @property
    def entropy(self) -> np.ndarray:
        """Entropy of each row's distribution, (rows,), from 0 (one class) to 1 (all equally probable)."""
        return normalised_entropy(self.probabilities)


def normalised_entropy(distributions: np.ndarray) -> np.ndarray:
    """Return the entropy over the last axis, divided by that of the uniform distribution: 0 to 1."""
    classes = distributions.shape[-1]
    logs = np.log(np.where(distributions > 0, distributions, 1.0))
    return np.asarray(-(distributions * logs).sum(axis=-1) / np.log(max(classes, 2)))


def describe_scores(scores: TeacherScores, names: Sequence[str]) -> dict[str, Any]:
    """Measure balance and confidence.

    Args:
        scores: predictions of some rows.
        names: class names.

    Returns:
        ``classes``: by name, the share of rows predicted as the class and its mean probability; ``balance``:
        normalised entropy of the mean distribution, 1 if all classes are equally probable; ``entropy``: mean
        normalised entropy of the rows; ``confidence``: quantiles of the top probability, and the shares of rows with at
        least 0.5 and 0.9.
    """
    mean = scores.probabilities.mean(axis=0)
    counts = np.bincount(scores.predicted, minlength=len(names)) / len(scores.predicted)
    shares = {f"at_least_{level}": round(float((scores.confidence >= level).mean()), 6) for level in CONFIDENCE_LEVELS}
    return {
        "classes": {
            name: {"rows": round(float(counts[i]), 6), "probability": round(float(mean[i]), 6)}
            for i, name in enumerate(names)
        },
        "balance": round(float(normalised_entropy(mean)), 6),
        "entropy": round(float(scores.entropy.mean()), 6),
        "confidence": quantiles(scores.confidence) | shares,
    }


def agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Return the share of rows with equal class in two arrays (rows,)."""
    return round(float((first == second).mean()), 6)


def agreement_with_request(requested: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Compare the classes in the prompts with the predicted ones.

    Returns:
        ``all``: share of rows with equal class; ``classes``: the same by requested class, null without rows.
    """
    by_class = {
        name: agreement(requested[requested == i], predicted[requested == i]) if (requested == i).any() else None
        for i, name in enumerate(names)
    }
    return {"all": agreement(requested, predicted), "classes": by_class}
