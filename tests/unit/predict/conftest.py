"""Fixtures of the tests of predictions."""

from pathlib import Path

import pytest

from gendist.predict.classifier import TextClassifier


@pytest.fixture(scope="module")
def classifier(exported: Path) -> TextClassifier:
    """The exported student."""
    return TextClassifier.load(exported)
