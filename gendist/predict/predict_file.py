"""Predict a file of texts, of any size."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from gendist.errors import GendistError
from gendist.predict.classifier import TextClassifier
from gendist.predict.prediction_writer import DIGITS, OutputColumns, Prediction, open_writer
from gendist.predict.text_reader import InputRow, TextSource, open_source

TERMINAL_INTERVAL, LOG_INTERVAL = 0.2, 30.0
"""Seconds between two lines of progress on the standard error: one line, written anew, or one after the other."""


def predict_file(
    classifier: TextClassifier,
    source: TextSource,
    target: str,
    every_class: bool,
    chunk: int,
    *,
    threshold: float = 0.0,
    texts: bool = False,
) -> int:
    """Read texts, predict them and write what comes out, in the order of the rows.

    Args:
        classifier: an exported model.
        source: where the texts are.
        target: a file, or ``-`` for the standard output.
        every_class: write every class's probability.
        chunk: rows in memory at a time.
        threshold: probability below which a row gets no label.
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
    progress = _Progress()
    with (
        open_source(source, chunk, _print_note) as found,
        open_writer(
            target, OutputColumns(labels if every_class else [], found.kept, classifier.text_columns if texts else [])
        ) as out,
    ):
        for rows in found.chunks(chunk):
            out.write(_predict_rows(classifier, labels, rows, every_class, threshold))
            progress.add(len(rows))
    progress.end()
    return progress.done


def _predict_rows(
    classifier: TextClassifier, labels: list[str], rows: Sequence[InputRow], every_class: bool, threshold: float
) -> list[Prediction]:
    shares = classifier.predict_proba([row.text for row in rows if row.text is not None])
    found = zip(shares.argmax(1).tolist(), shares.round(DIGITS).tolist(), strict=True)
    predictions = []
    for row in rows:
        if row.text is None:
            nothing = [None] * len(labels) if every_class else []
            predictions.append(Prediction(row.number, None, None, nothing, row.kept, None))
            continue
        best, every = next(found)
        label = labels[best] if every[best] >= threshold else None
        probabilities = every if every_class else []
        predictions.append(Prediction(row.number, label, every[best], probabilities, row.kept, row.text))
    return predictions


def _print_note(line: str) -> None:
    print(f"note: {line}", file=sys.stderr)


class _Progress:
    """How far it is, on the standard error; nothing where it is over at once."""

    def __init__(self) -> None:
        self.done = 0
        self._terminal = sys.stderr.isatty()
        self._began = self._shown = time.monotonic()
        self._open = False

    def add(self, rows: int) -> None:
        self.done += rows
        if time.monotonic() - self._shown >= (TERMINAL_INTERVAL if self._terminal else LOG_INTERVAL):
            self._show()

    def end(self) -> None:
        if self._open:
            self._show()
            print(file=sys.stderr)

    def _show(self) -> None:
        self._shown = time.monotonic()
        line = f"{self.done:,} rows, {self.done / max(self._shown - self._began, 1e-9):,.0f} a second"
        if self._terminal:
            print(f"\r{line} ", end="", file=sys.stderr, flush=True)
            self._open = True
        else:
            print(line, file=sys.stderr, flush=True)
