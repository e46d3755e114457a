"""Linear classifiers of frozen features, from which finetuning starts.

Finetuning distorts pretrained features less if the classifier fits them first (Kumar et al. 2022, LP-FT).
"""

import numpy as np
from threadpoolctl import threadpool_limits

MAX_ITERATIONS = 100
L2 = 3e-4
"""Penalty of the squared weights, for features of mean norm one; chosen in docs/notes/tuning.md."""


def fit_linear_probe(
    features: np.ndarray, targets: np.ndarray, row_weights: np.ndarray, l2: float = L2
) -> tuple[np.ndarray, np.ndarray]:
    """Fit multinomial logistic regression to soft targets with L-BFGS.

    Args:
        features: (rows, width).
        targets: probabilities (rows, classes).
        row_weights: weight of each row (rows,).
        l2: penalty of the squared weights, for features scaled to mean norm one.

    Returns:
        Weights (classes, width) and biases (classes,), float32.
    """
    from scipy.optimize import minimize  # imported here because other students do not need it

    norm = max(float(np.linalg.norm(features, axis=1).mean()), 1e-12)
    x = np.append(features / norm, np.ones((len(features), 1)), 1).astype(np.float32)
    shares = (row_weights / row_weights.sum()).astype(np.float32)[:, None]
    shape = targets.shape[1], x.shape[1]

    def loss_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(shape).astype(np.float32)
        logits = x @ weights.T
        logits -= logits.max(1, keepdims=True)
        log_probabilities = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        penalised = weights.copy()
        penalised[:, -1] = 0  # not the biases
        loss = -float((shares * targets * log_probabilities).sum(dtype=np.float64)) + l2 * float((penalised**2).sum())
        errors = shares * (np.exp(log_probabilities) - targets)
        return loss, (errors.T @ x + 2 * l2 * penalised).astype(np.float64).ravel()

    start = np.zeros(shape[0] * shape[1])
    with threadpool_limits(1):  # the order of sums, and with it the result, depends on the number of threads
        found = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": MAX_ITERATIONS})
    weights = found.x.reshape(shape).astype(np.float32)
    return weights[:, :-1] / norm, weights[:, -1]
