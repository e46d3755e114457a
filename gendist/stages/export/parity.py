"""What the exported files give on the test rows, beside what the network in PyTorch gives."""

from pathlib import Path
from typing import Any

import numpy as np

from gendist.errors import GendistError
from gendist.predict.classifier import TextClassifier
from gendist.stages.evaluation.metrics import accuracy, ece, nll
from gendist.stages.texts.tables import Texts

TOLERATED = 0.001
"""Share of test rows that may get another label in float32: rows whose two best classes are equal to six digits."""


def parity(folder: Path, tested: Texts, logits: np.ndarray, tables: bool) -> dict[str, Any]:
    """Score the test texts with the files of an export, as a user would, and compare.

    Args:
        folder: the export, with its description.
        tested: test rows.
        logits: what the network in PyTorch gives for them, (rows, classes).
        tables: whether the export holds weights for tables.

    Returns:
        Scores of ``pytorch``, ``float32``, ``int8`` and ``tables``, calibration before and after the temperature
        included; the largest difference of a logit, and the share of equal labels.

    Raises:
        GendistError: if float32 gives another label for more than a row in a thousand.
    """
    temperature = TextClassifier.load(folder).temperature
    figures: dict[str, Any] = {"rows": len(tested.texts), "pytorch": _scores(tested.labels, logits, temperature)}
    ways = {"float32": (False, False), "int8": (True, False)} | ({"tables": (True, True)} if tables else {})
    for name, (int8, fast) in ways.items():
        found = TextClassifier.load(folder, int8=int8, tables=fast).logits(tested.texts)
        figures[name] = {
            **_scores(tested.labels, found, temperature),
            "largest_difference": float(np.abs(found - logits).max()),
            "equal_labels": accuracy(logits.argmax(1), found.argmax(1)),
        }
    differing = 1 - figures["float32"]["equal_labels"]
    if differing > TOLERATED:
        shown = f"gives {100 * differing:.1f} % of the test rows another label than PyTorch does"
        raise GendistError(f"the exported network {shown} (tolerated: {100 * TOLERATED} %); nothing was written")
    return figures


def _scores(labels: np.ndarray, logits: np.ndarray, temperature: float) -> dict[str, float]:
    return {
        "accuracy": accuracy(labels, logits.argmax(1)),
        "nll": nll(labels, logits),
        "nll_calibrated": nll(labels, logits / temperature),
        "ece": ece(labels, logits),
        "ece_calibrated": ece(labels, logits / temperature),
    }
