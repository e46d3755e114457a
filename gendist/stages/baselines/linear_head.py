"""Linear classifier over fixed features: fitted with scikit-learn, stored as safetensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from gendist.errors import GendistError
from gendist.io.atomic_files import write_tensors
from gendist.io.checksums import verify_tensors
from gendist.io.provenance import PROVENANCE_KEY, Provenance

HEAD_FILE = "head.safetensors"
LOGISTIC_REGRESSION: Mapping[str, Any] = {"C": 1.0, "max_iter": 1000}
"""scikit-learn's defaults, with more iterations."""
UNSEEN_LOGIT = -1e4
"""Logit of classes without training rows."""


@dataclass(frozen=True)
class LinearHead:
    """Logistic regression: ``weight`` (classes, features) and ``bias`` (classes,), float32."""

    weight: np.ndarray
    bias: np.ndarray

    @property
    def n_parameters(self) -> int:
        """Number of weights."""
        return int(self.weight.size + self.bias.size)

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Map features (rows, features) to logits (rows, classes) float32."""
        return (features @ self.weight.T + self.bias).astype(np.float32)

    def save(self, path: Path, provenance: Provenance) -> None:
        """Write the two arrays as safetensors."""
        arrays = {"weight": self.weight, "bias": self.bias}
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        write_tensors(path, tensors, (PROVENANCE_KEY, provenance.to_json()))


def fit_head(features: np.ndarray, labels: np.ndarray, classes: int, train: Path) -> LinearHead:
    """Fit on features (rows, features) and gold labels (rows,).

    Raises:
        GendistError: if ``train`` has only one class.
    """
    from sklearn.linear_model import LogisticRegression  # slow import, needed only for fitting

    regression = LogisticRegression(**LOGISTIC_REGRESSION)
    try:
        regression.fit(features, labels)
    except ValueError as error:
        raise GendistError(f"{train}: {str(error).splitlines()[0]}") from None
    return head_from_regression(regression, classes)


def head_from_regression(regression: Any, classes: int) -> LinearHead:
    """Convert a fitted ``LogisticRegression`` to one weight row per class."""
    weight, bias = regression.coef_, regression.intercept_
    if len(regression.classes_) == 2:  # binary: one row, for the second class
        weight, bias = np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias])
    head = LinearHead(np.zeros((classes, weight.shape[1]), np.float32), np.full(classes, UNSEEN_LOGIT, np.float32))
    head.weight[regression.classes_] = weight
    head.bias[regression.classes_] = bias
    return head


def load_head(path: Path) -> LinearHead:
    """Load a head written by ``LinearHead.save``.

    Raises:
        GendistError: if the file is missing or damaged.
    """
    verify_tensors(path)
    try:
        tensors = load_file(path)
        return LinearHead(tensors["weight"].numpy(), tensors["bias"].numpy())
    except (OSError, SafetensorError, KeyError) as error:
        raise GendistError(f"{path}: missing or damaged ({error}); delete its folder and rerun") from None
