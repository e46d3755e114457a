"""Temperature scaling: calibrate the probabilities of a student."""

import numpy as np
from scipy.optimize import minimize_scalar

from gendist.stages.evaluation.metrics import nll

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.1, 10.0
"""Bounds: with few rows, all classified correctly, the optimum would be zero."""


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
