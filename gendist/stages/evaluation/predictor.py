"""Common interface of trained systems for prediction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Predictor:
    """A loaded system."""

    predict: Callable[[Sequence[str]], np.ndarray]
    """Maps texts to class indices (rows,)."""
    files: Sequence[Path]
    """Files to deploy: weights, vocabulary or tokenizer, settings; without libraries."""
    runtime: str
    """Inference library."""
