"""An exported model as a predictor, as ``gendist predict`` and ``TextClassifier`` use it."""

from pathlib import Path

from gendist.analysis.report.costs_table import EXPORTED_RUNTIME
from gendist.predict.classifier import TextClassifier
from gendist.predict.exported_model import DESCRIPTION, INT8, LOOKUP_WEIGHTS, TOKENIZER
from gendist.stages.evaluation.predictor import Predictor


def load_export(folder: Path) -> Predictor:
    """Load an exported model with its 8-bit weights; Kim's are looked up in tables.

    Args:
        folder: from ``export_student``.

    Raises:
        GendistError: if a file is missing or damaged.
    """
    classifier = TextClassifier.load(folder)
    tables = (folder / LOOKUP_WEIGHTS).is_file()
    files = [folder / name for name in (LOOKUP_WEIGHTS if tables else INT8, TOKENIZER, DESCRIPTION)]
    return Predictor(
        lambda texts: classifier.logits(texts).argmax(1),
        files,
        f"{EXPORTED_RUNTIME} ({'tables' if tables else 'ONNX Runtime'}, int8)",
    )
