"""Accuracy, macro F1, negative log likelihood and calibration error of predictions.

Uses only numpy: importing scikit-learn takes longer than the scores of a short student job.
"""

import numpy as np

BINS = 15
"""Bins of the calibration error, as in Guo et al. (2017)."""


def accuracy(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Return the share of rows whose predicted class is the gold one, 0 to 1.

    Args:
        labels: (rows,) gold classes.
        predicted: (rows,) predicted classes.
    """
    return float(np.mean(labels == predicted))


def macro_f1(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Return the unweighted mean of the classes' F1, 0 to 1.

    Includes all gold and predicted classes; a class without true positives counts as 0.
    """
    classes = np.union1d(labels, predicted)
    true_positives = [np.sum((labels == c) & (predicted == c)) for c in classes]
    totals = [np.sum(labels == c) + np.sum(predicted == c) for c in classes]
    return float(np.mean(2 * np.array(true_positives) / np.array(totals)))


def nll(labels: np.ndarray, logits: np.ndarray) -> float:
    """Return the mean negative log likelihood of the gold classes, in nats.

    Args:
        labels: (rows,) gold classes.
        logits: (rows, classes), unnormalised.
    """
    log_probabilities = _log_softmax(logits)  # (rows, classes)
    return float(-log_probabilities[np.arange(len(labels)), labels].mean())


def ece(labels: np.ndarray, logits: np.ndarray, bins: int = BINS) -> float:
    """Return the expected calibration error, 0 to 1.

    Bins of equal width group the rows by the probability of their top class; the error is the mean over rows
    of the gap between accuracy and mean probability of a bin (Guo et al. 2017, On Calibration of Modern Neural
    Networks, equation 3).

    Args:
        labels: (rows,) gold classes.
        logits: (rows, classes), unnormalised.
        bins: number of bins; bin m covers the probabilities in ((m - 1) / bins, m / bins].
    """
    log_probabilities = _log_softmax(logits)
    confidence = np.exp(log_probabilities.max(axis=1))  # (rows,)
    correct = log_probabilities.argmax(axis=1) == labels
    bin_index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    # |sum of correct - sum of confidence| of a bin is its gap times its number of rows.
    gaps = np.bincount(bin_index, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def classification_metrics(
    labels: np.ndarray, predicted: np.ndarray, logits: np.ndarray | None
) -> dict[str, float | None]:
    """Return accuracy, macro_f1, nll and ece.

    Args:
        labels: (rows,) gold classes.
        predicted: (rows,) predicted classes.
        logits: (rows, classes), or None for systems without logits; nll and ece are then None.

    Raises:
        ValueError: if there are no rows, shapes differ, or logits are not finite.
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    if labels.ndim != 1 or len(labels) == 0 or labels.shape != predicted.shape:
        raise ValueError(f"labels {labels.shape} and predicted {predicted.shape} must have the same number of rows")
    if logits is not None and (np.ndim(logits) != 2 or len(logits) != len(labels)):
        raise ValueError(f"logits {np.shape(logits)} do not match {len(labels)} rows")
    if logits is not None and not np.isfinite(logits).all():
        raise ValueError("logits are not finite")
    return {
        "accuracy": accuracy(labels, predicted),
        "macro_f1": macro_f1(labels, predicted),
        "nll": None if logits is None else nll(labels, logits),
        "ece": None if logits is None else ece(labels, logits),
    }


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.asarray(logits, dtype=np.float64)
    shifted = shifted - shifted.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
