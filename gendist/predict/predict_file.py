"""Label a file of texts of any size."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from gendist.errors import GendistError
from gendist.predict.classifier import TextClassifier
from gendist.predict.prediction_writer import DIGITS, OutputColumns, Prediction, open_writer
from gendist.predict.text_reader import InputRow, open_source
from gendist.predict.text_source import TextSource

TERMINAL_INTERVAL, LOG_INTERVAL = 0.2, 30.0
"""Seconds between progress updates on standard error: of one line at a terminal, of log lines elsewhere."""


def predict_file(
    classifier: TextClassifier,
    source: TextSource,
    target: str,
    *,
    all_classes: bool,
    chunk: int,
    threshold: float = 0.0,
    texts: bool = False,
) -> int:
    """Read texts, predict labels and write them in the order of the rows.

    Args:
        classifier: an exported model.
        source: the input file.
        target: a file, or ``-`` for standard output.
        all_classes: write the probability of every class.
        chunk: rows in memory at a time.
        threshold: rows with a lower probability get no label.
        texts: write the texts too, in the first text column of the training data; the others stay empty.

    Returns:
        The number of rows.

    Raises:
        GendistError: if the source cannot be read or the target cannot be written; no target is left then.
    """
    if Path(target).exists() and Path(source.path).exists() and Path(target).samefile(source.path):
        raise GendistError(f"{target}: is the input and cannot be the output; name another output")
    labels = [str(label) for label in classifier.classes_]
    progress = _Progress()
    missing = 0
    with (
        open_source(source, chunk, _print_note) as stream,
        open_writer(
            target, OutputColumns(labels if all_classes else [], stream.kept, classifier.text_columns if texts else [])
        ) as out,
    ):
        for rows in stream.chunks(chunk):
            out.write(_predict_rows(classifier, labels=labels, rows=rows, all_classes=all_classes, threshold=threshold))
            progress.add(len(rows))
            missing += sum(row.text is None for row in rows)
    progress.end()
    if missing:
        _print_note(f"{missing:,} of {progress.done:,} rows have no text and get no label")
    return progress.done


def _predict_rows(
    classifier: TextClassifier, *, labels: list[str], rows: Sequence[InputRow], all_classes: bool, threshold: float
) -> list[Prediction]:
    probabilities = classifier.predict_proba([row.text for row in rows if row.text is not None])
    predicted = zip(probabilities.argmax(1).tolist(), probabilities.round(DIGITS).tolist(), strict=True)
    predictions = []
    for row in rows:
        if row.text is None:
            missing = [None] * len(labels) if all_classes else []
            predictions.append(Prediction(row.number, None, None, class_probabilities=missing, kept=row.kept))
            continue
        best, by_class = next(predicted)
        label = labels[best] if by_class[best] >= threshold else None
        shown = by_class if all_classes else []
        predictions.append(
            Prediction(row.number, label, by_class[best], class_probabilities=shown, kept=row.kept, text=row.text)
        )
    return predictions


def _print_note(line: str) -> None:
    print(f"note: {line}", file=sys.stderr)


class _Progress:
    """Progress on standard error; short runs show none."""

    def __init__(self) -> None:
        self.done = 0
        self._terminal = sys.stderr.isatty()
        self._start = self._last_shown = time.monotonic()
        self._line_open = False

    def add(self, rows: int) -> None:
        self.done += rows
        if time.monotonic() - self._last_shown >= (TERMINAL_INTERVAL if self._terminal else LOG_INTERVAL):
            self._show()

    def end(self) -> None:
        if self._line_open:
            self._show()
            print(file=sys.stderr)

    def _show(self) -> None:
        self._last_shown = time.monotonic()
        line = f"{self.done:,} rows, {self.done / max(self._last_shown - self._start, 1e-9):,.0f} a second"
        if self._terminal:
            print(f"\r{line} ", end="", file=sys.stderr, flush=True)
            self._line_open = True
        else:
            print(line, file=sys.stderr, flush=True)
