"""One temperature that makes a student's probabilities mean what they say."""

import numpy as np
from scipy.optimize import minimize_scalar

from gendist.stages.evaluation.metrics import nll

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.1, 10.0
"""Between these the temperature is sought: few rows that are all right would drive it to zero."""


def fit_temperature(labels: np.ndarray, logits: np.ndarray) -> float:
    """Return the temperature that minimises the negative log likelihood of softmax(logits / temperature).

    Temperature scaling (Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2); the class
    that a row is given does not change.

    Args:
        labels: (rows,) gold classes.
        logits: (rows, classes) of rows that the student was not trained on.
    """
    wide = np.asarray(logits, np.float64)
    bounds = (np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE))
    found = minimize_scalar(lambda log_t: nll(labels, wide / np.exp(log_t)), bounds=bounds, method="bounded")
    return float(np.exp(found.x))
