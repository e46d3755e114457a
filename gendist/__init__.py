"""Generation-Distillation: from about 100 labelled texts per class to a one-megabyte classifier."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["Classifier", "GendistError", "TextClassifier"]

_LAZY = {
    "Classifier": "gendist.classifier.estimator",
    "GendistError": "gendist.errors",
    "TextClassifier": "gendist.predict.classifier",
}
"""Modules of the public names, imported on first access: ``import gendist`` loads nothing else."""


def __getattr__(name: str) -> Any:
    # Not an import statement: every stage's code version covers what this file imports.
    if name not in _LAZY:
        raise AttributeError(f"module 'gendist' has no attribute '{name}'")
    try:
        return getattr(import_module(_LAZY[name]), name)
    except ModuleNotFoundError as error:
        extra = "study" if name == "Classifier" else "predict"
        raise ImportError(f"gendist.{name} needs {error.name}: pip install 'gendist[{extra}]'") from None


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
