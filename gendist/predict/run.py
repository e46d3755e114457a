"""Predict a file of texts, of any size."""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gendist.errors import GendistError
from gendist.predict.classifier import TextClassifier
from gendist.predict.read import Row, Source, read_chunks
from gendist.predict.write import DIGITS, Prediction, writer


def predict_file(
    classifier: TextClassifier, source: Source, target: str, every_class: bool, chunk: int, texts: bool = False
) -> int:
    """Read texts, predict them and write what comes out, in the order of the rows.

    Args:
        classifier: an exported model.
        source: where the texts are.
        target: a file, or ``-`` for the standard output.
        every_class: write every class's probability.
        chunk: rows in memory at a time.
        texts: write the texts too, under the names of the columns that the training texts were made of; several
            columns were joined: the first has the whole text, the others nothing.

    Returns:
        The number of rows.

    Raises:
        GendistError: if the source cannot be read or the target not be written; there is no target then.
    """
    if Path(target).exists() and Path(source.path).exists() and Path(target).samefile(source.path):
        raise GendistError(f"{target}: is read and cannot be written at the same time; name another output")
    labels = [str(label) for label in classifier.classes_]
    done, began = 0, time.monotonic()
    with writer(target, labels if every_class else [], classifier.text_columns if texts else []) as out:
        for rows in read_chunks(source, chunk):
            predictions = _predicted(classifier, labels, rows, every_class)
            if texts:
                predictions = [replace(p, text=text) for p, (_, text) in zip(predictions, rows, strict=True)]
            out.write(predictions)
            done += len(rows)
            _show(done, time.monotonic() - began, "\r")
    if done:
        _show(done, time.monotonic() - began, "\n")
    return done


def _predicted(
    classifier: TextClassifier, labels: list[str], rows: Sequence[Row], every_class: bool
) -> list[Prediction]:
    shares = classifier.predict_proba([text for _, text in rows if text is not None])
    found = zip(shares.argmax(1).tolist(), shares.round(DIGITS).tolist(), strict=True)
    predictions = []
    for number, text in rows:
        if text is None:
            predictions.append(Prediction(number, None, None, [None] * len(labels) if every_class else []))
            continue
        best, every = next(found)
        predictions.append(Prediction(number, labels[best], every[best], every if every_class else []))
    return predictions


def _show(done: int, seconds: float, end: str) -> None:
    """Tell a person at the terminal how far it is."""
    if sys.stderr.isatty():
        print(f"\r{done:,} rows, {done / max(seconds, 1e-9):,.0f} a second ", end=end, file=sys.stderr, flush=True)
