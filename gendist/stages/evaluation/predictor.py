"""A trained system, ready to label texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Predictor:
    """What every kind of system is loaded as."""

    predict: Callable[[Sequence[str]], np.ndarray]
    """Texts to their classes (rows,), whole numbers in the order of the label names."""
    files: Sequence[Path]
    """All files that must be shipped: weights, vocabulary or tokenizer, settings; the libraries are left out."""
    runtime: str
    """Library that computes."""
