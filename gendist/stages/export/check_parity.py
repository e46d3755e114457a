"""Compare the predictions of exported files with those of the PyTorch network."""

from pathlib import Path
from typing import Any

import numpy as np

from gendist.errors import GendistError
from gendist.predict.classifier import TextClassifier
from gendist.stages.evaluation.metrics import accuracy, ece, nll
from gendist.stages.texts.text_tables import Texts

MAX_CHANGED_LABELS = 0.001
"""Maximum share of test rows whose label may change in float32: near ties of the top two classes."""


def check_parity(folder: Path, test_rows: Texts, logits: np.ndarray, tables: bool) -> dict[str, Any]:
    """Evaluate each exported model on the test texts and compare it with PyTorch.

    Args:
        folder: exported folder.
        test_rows: test rows.
        logits: logits of the PyTorch network (rows, classes).
        tables: whether the export includes lookup weights.

    Returns:
        Scores of ``pytorch``, ``float32``, ``int8`` and ``tables``, before and after temperature scaling, with the
        maximum logit difference and the share of equal labels.

    Raises:
        GendistError: if float32 changes more than ``MAX_CHANGED_LABELS`` of the labels.
    """
    temperature = TextClassifier.load(folder).temperature
    figures: dict[str, Any] = {"rows": len(test_rows.texts), "pytorch": _scores(test_rows.labels, logits, temperature)}
    backends = {"float32": (False, False), "int8": (True, False)} | ({"tables": (True, True)} if tables else {})
    for name, (int8, use_tables) in backends.items():
        exported = TextClassifier.load(folder, int8=int8, tables=use_tables).logits(test_rows.texts)
        figures[name] = {
            **_scores(test_rows.labels, exported, temperature),
            "largest_difference": float(np.abs(exported - logits).max()),
            "equal_labels": accuracy(logits.argmax(1), exported.argmax(1)),
        }
    changed = 1 - figures["float32"]["equal_labels"]
    if changed > MAX_CHANGED_LABELS:
        change = f"changes {100 * changed:.1f} % of the test labels"
        raise GendistError(
            f"the exported network {change} (tolerated: {100 * MAX_CHANGED_LABELS} %); nothing was written"
        )
    return figures


def _scores(labels: np.ndarray, logits: np.ndarray, temperature: float) -> dict[str, float]:
    return {
        "accuracy": accuracy(labels, logits.argmax(1)),
        "nll": nll(labels, logits),
        "nll_calibrated": nll(labels, logits / temperature),
        "ece": ece(labels, logits),
        "ece_calibrated": ece(labels, logits / temperature),
    }
