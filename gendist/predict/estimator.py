"""An exported student as a scikit-learn estimator. Needs scikit-learn."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from gendist.predict.classifier import TextClassifier


class DistilledClassifier(ClassifierMixin, BaseEstimator):
    """A pretrained text classifier: ``fit`` loads the weights from a folder and does not train.

    For pipelines, scoring and calibration curves. ``X`` is a sequence of texts, (rows,) or (rows, 1).
    Clones and pickles store the path, not the weights.
    """

    def __init__(self, folder: str | Path, int8: bool = True, threads: int = 1) -> None:
        """Store the parameters; ``fit`` reads the folder.

        Args:
            folder: written by ``gendist export``.
            int8: use int8 weights, else float32.
            threads: CPU threads.
        """
        self.folder = folder
        self.int8 = int8
        self.threads = threads

    def fit(self, X: Any = None, y: Any = None) -> "DistilledClassifier":  # noqa: N803  # scikit-learn's name
        """Load the model. ``X`` is ignored; ``y`` is only checked for unknown labels.

        Raises:
            ValueError: if ``y`` has an unknown label, or ``X`` and ``y`` differ in length.
            GendistError: if the folder has no exported model.
        """
        classifier = TextClassifier.load(self.folder, int8=self.int8, threads=self.threads)
        if y is not None:
            if X is not None and len(X) != len(y):
                raise ValueError(f"{len(X)} texts, but {len(y)} labels")
            unknown = sorted({str(label) for label in np.ravel(y)} - set(classifier.classes_.tolist()))
            if unknown:
                known = ", ".join(classifier.classes_)
                raise ValueError(f"label '{unknown[0]}' is not one of the model's classes: {known}")
        self._classifier = classifier
        self.classes_ = classifier.classes_
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the label name of each text, (rows,)."""
        check_is_fitted(self, "classes_")
        return self._classifier.predict(_texts(X))

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return calibrated probabilities, (rows, classes), columns in the order of ``classes_``."""
        check_is_fitted(self, "classes_")
        return self._classifier.predict_proba(_texts(X))

    def __getstate__(self) -> dict[str, Any]:
        """Exclude the loaded network; ``__setstate__`` reloads it from the folder."""
        return {name: value for name, value in super().__getstate__().items() if name != "_classifier"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "classes_" in state:
            self._classifier = TextClassifier.load(self.folder, int8=self.int8, threads=self.threads)

    def __sklearn_tags__(self) -> Tags:
        """Declare that samples are strings."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.requires_fit = True
        tags.target_tags.required = False
        return tags


def _texts(X: Any) -> Sequence[str]:  # noqa: N803
    """Return texts from a list, an array (rows,) or a column (rows, 1)."""
    if isinstance(X, str):
        raise ValueError("expected a sequence of texts, got one text; write [text]")
    values = np.asarray(X, dtype=object)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise ValueError(f"expected texts of shape (rows,) or (rows, 1), got {values.shape}")
    wrong = next((i for i, value in enumerate(values) if not isinstance(value, str)), None)
    if wrong is not None:
        raise ValueError(f"text {wrong} is of type {type(values[wrong]).__name__}, expected str")
    return values.tolist()
