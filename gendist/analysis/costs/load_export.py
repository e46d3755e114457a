"""Load an exported model as a predictor, as ``gendist predict`` does."""

from pathlib import Path

from gendist.analysis.report.costs_table import EXPORTED_RUNTIME
from gendist.predict.classifier import TextClassifier
from gendist.predict.exported_model import DESCRIPTION, INT8, LOOKUP_WEIGHTS, TOKENIZER
from gendist.stages.evaluation.predictor import Predictor


def load_export(folder: Path) -> Predictor:
    """Load an exported model with int8 weights, using lookup tables if available (Kim).

    Args:
        folder: folder of ``export_student``.

    Raises:
        GendistError: if a file is missing or damaged.
    """
    classifier = TextClassifier.load(folder)
    has_tables = (folder / LOOKUP_WEIGHTS).is_file()
    files = [folder / name for name in (LOOKUP_WEIGHTS if has_tables else INT8, TOKENIZER, DESCRIPTION)]
    return Predictor(
        lambda texts: classifier.logits(texts).argmax(1),
        files,
        f"{EXPORTED_RUNTIME} ({'tables' if has_tables else 'ONNX Runtime'}, int8)",
    )
