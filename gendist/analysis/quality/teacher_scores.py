"""What the teacher makes of texts: classes, their balance, and how sure it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gendist.analysis.quality.text_statistics import quantiles

CONFIDENCE_LEVELS = (0.5, 0.9)
"""Top probabilities from which on rows are counted."""


@dataclass(frozen=True)
class TeacherScores:
    """The teacher's view of some rows."""

    probabilities: np.ndarray
    """(rows, classes) float64."""

    @classmethod
    def of(cls, logits: np.ndarray) -> "TeacherScores":
        """Take the softmax of logits (rows, classes)."""
        shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
        return cls(shifted / shifted.sum(axis=1, keepdims=True))

    @property
    def predicted(self) -> np.ndarray:
        """The most probable class of each row, (rows,)."""
        return self.probabilities.argmax(axis=1)

    @property
    def confidence(self) -> np.ndarray:
        """Its probability, (rows,)."""
        return self.probabilities.max(axis=1)

    @property
    def entropy(self) -> np.ndarray:
        """Entropy of each row's distribution, (rows,), from 0 (one class) to 1 (all equally probable)."""
        return normalised_entropy(self.probabilities)


def normalised_entropy(distributions: np.ndarray) -> np.ndarray:
    """Return the entropy of each distribution of the last axis over that of the uniform one: 0 to 1; 0 of one class."""
    classes = distributions.shape[-1]
    logs = np.log(np.where(distributions > 0, distributions, 1.0))
    return np.asarray(-(distributions * logs).sum(axis=-1) / np.log(max(classes, 2)))


def describe_scores(scores: TeacherScores, names: Sequence[str]) -> dict[str, Any]:
    """Measure balance and confidence.

    Args:
        scores: of some rows.
        names: of the classes.

    Returns:
        ``classes``: by name, the share of rows predicted as it and its mean probability; ``balance``: normalised
        entropy of the mean distribution, 1 for classes of equal mass; ``entropy``: mean normalised entropy of the
        rows' distributions; ``confidence``: quantiles of the top probability, and the share of rows of at least .5, .9.
    """
    mean = scores.probabilities.mean(axis=0)
    counts = np.bincount(scores.predicted, minlength=len(names)) / len(scores.predicted)
    sure = {f"at_least_{level}": round(float((scores.confidence >= level).mean()), 6) for level in CONFIDENCE_LEVELS}
    return {
        "classes": {
            name: {"rows": round(float(counts[i]), 6), "probability": round(float(mean[i]), 6)}
            for i, name in enumerate(names)
        },
        "balance": round(float(normalised_entropy(mean)), 6),
        "entropy": round(float(scores.entropy.mean()), 6),
        "confidence": quantiles(scores.confidence) | sure,
    }


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Return the share of rows of which two systems (or a system and a request) say the same class: (rows,) each."""
    return round(float((one == other).mean()), 6)


def agreement_with_request(asked: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Compare the classes that rows were asked for with those that they are taken for.

    Returns:
        ``all``: share of the rows; ``classes``: the same by the class asked for, null where no row was.
    """
    by_class = {
        name: agreement(asked[asked == i], predicted[asked == i]) if (asked == i).any() else None
        for i, name in enumerate(names)
    }
    return {"all": agreement(asked, predicted), "classes": by_class}
