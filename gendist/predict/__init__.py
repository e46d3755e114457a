"""Inference with an exported student. Needs NumPy; imports no torch."""

from importlib import import_module
from typing import Any

__all__ = ["TextClassifier"]


def __getattr__(name: str) -> Any:
    # Not an import statement: the export's code version covers what this file imports.
    if name not in __all__:
        raise AttributeError(f"module 'gendist.predict' has no attribute '{name}'")
    return getattr(import_module("gendist.predict.classifier"), name)
