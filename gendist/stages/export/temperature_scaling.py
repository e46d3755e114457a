"""Temperature scaling: calibrate the probabilities of a student."""

import numpy as np
from scipy.optimize import minimize_scalar

from gendist.stages.evaluation.metrics import nll

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.1, 10.0
"""Bounds: with few rows, all classified correctly, the optimum would be zero."""


def fit_distilled_temperature(labels: np.ndarray, logits: np.ndarray) -> float:
    """Return a temperature for a distilled student, from cross-fitted logits.

    Teacher and generator were trained on the cross-fitted rows, so that the student is more accurate on them than on
    new texts, and the temperature that fits them is too low. Below 1, its square root is returned.

    Args:
        labels: (rows,) gold classes.
        logits: (rows, classes) of rows that the student was trained without, but its teacher was not.
    """
    temperature = fit_temperature(labels, logits)
    return float(np.sqrt(temperature)) if temperature < 1 else temperature


def fit_temperature(labels: np.ndarray, logits: np.ndarray) -> float:
    """Return the temperature that minimises the negative log likelihood of softmax(logits / temperature).

    Temperature scaling (Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2);
    predicted classes do not change.

    Args:
        labels: (rows,) gold classes.
        logits: (rows, classes) of held-out rows.
    """
    logits = np.asarray(logits, np.float64)
    bounds = (np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE))
    optimum = minimize_scalar(lambda log_t: nll(labels, logits / np.exp(log_t)), bounds=bounds, method="bounded")
    return float(np.exp(optimum.x))
