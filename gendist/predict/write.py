"""Predictions to files and to the standard output, as they come."""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

from gendist.errors import GendistError
from gendist.whole import whole_file

STDOUT = "-"
FIRST = ("row", "label", "probability")
"""Columns of every output."""
DIGITS = 6
"""Decimal places of probabilities; float32 has no more to say."""


@dataclass(frozen=True)
class Prediction:
    """What is said of a row; a row without a text has neither label nor probabilities."""

    row: int
    label: str | None
    probability: float | None
    """Of the label."""
    all: Sequence[float | None]
    """Of every class, in the model's order; empty where not asked for."""
    text: str | None = None
    """Written only where text columns are asked for."""


class Writer(Protocol):
    """Takes predictions chunk by chunk."""

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Write some more rows."""


@contextmanager
def writer(target: str, all_labels: Sequence[str], text_columns: Sequence[str] = ()) -> Iterator[Writer]:
    """Open a target; the file has its name only once everything is written.

    Args:
        target: a .csv, .tsv, .jsonl or .parquet file, or ``-`` for CSV on the standard output.
        all_labels: classes whose probabilities are written too; none but the label's if empty.
        text_columns: columns for the text, which goes to the first of them.

    Raises:
        GendistError: for another suffix, where no file can be written, or if two columns would have one name.
    """
    others = [*FIRST, *_columns(all_labels)]
    if doubled := sorted(set(text_columns) & set(others)):
        raise GendistError(
            f"--texts: the text column '{doubled[0]}' has the name of a column of predictions; leave it out"
        )
    if target == STDOUT:
        with _delimited(sys.stdout, ",", all_labels, text_columns) as lines:
            yield lines
        return
    suffix = Path(target).suffix.lower()
    if suffix not in (".csv", ".tsv", ".jsonl", ".parquet"):
        raise GendistError(f"{target}: unknown file type '{suffix}'; accepted: .csv, .tsv, .jsonl, .parquet")
    try:
        with whole_file(Path(target)) as part:
            if suffix == ".parquet":
                with _parquet(part, all_labels, text_columns) as parquet:
                    yield parquet
                return
            with part.open("w", encoding="utf-8", newline="") as stream:
                if suffix == ".jsonl":
                    yield _JsonLines(stream, all_labels, text_columns)
                    return
                with _delimited(stream, "\t" if suffix == ".tsv" else ",", all_labels, text_columns) as lines:
                    yield lines
    except OSError as error:
        raise GendistError(f"{target}: cannot be written ({error.strerror or error})") from None


class _Delimited:
    def __init__(self, stream: TextIO, delimiter: str, all_labels: Sequence[str], text_columns: Sequence[str]) -> None:
        self._stream = stream
        self._columns = len(text_columns)
        self._writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
        self._header: list[str] | None = [*FIRST, *_columns(all_labels), *text_columns]

    def write(self, predictions: Sequence[Prediction]) -> None:
        # Not before the first rows are there, so that a mistake in the input leaves nothing on the terminal.
        if self._header is not None:
            self._writer.writerow(self._header)
            self._header = None
        for p in predictions:
            texts = _texts(p, self._columns)
            self._writer.writerow([p.row, p.label, p.probability, *p.all, *texts])  # None becomes an empty field
        self._stream.flush()


@contextmanager
def _delimited(
    stream: TextIO, delimiter: str, all_labels: Sequence[str], text_columns: Sequence[str]
) -> Iterator[Writer]:
    lines = _Delimited(stream, delimiter, all_labels, text_columns)
    yield lines
    lines.write([])  # the header of a file without rows


class _JsonLines:
    def __init__(self, stream: TextIO, all_labels: Sequence[str], text_columns: Sequence[str]) -> None:
        self._stream = stream
        self._labels = all_labels
        self._columns = text_columns

    def write(self, predictions: Sequence[Prediction]) -> None:
        for p in predictions:
            record: dict[str, Any] = {"row": p.row, "label": p.label, "probability": p.probability}
            if self._labels:
                record["probabilities"] = dict(zip(self._labels, p.all, strict=True)) if p.label is not None else None
            record |= dict(zip(self._columns, _texts(p, len(self._columns)), strict=True))
            self._stream.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._stream.flush()


@contextmanager
def _parquet(file: Path, all_labels: Sequence[str], text_columns: Sequence[str]) -> Iterator[Writer]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise GendistError("Parquet needs pyarrow: pip install 'gendist[predict]'") from None
    names = _columns(all_labels)
    kinds = {"row": pa.int64(), "label": pa.string(), "probability": pa.float32()}
    texts = dict.fromkeys(text_columns, pa.string())
    schema = pa.schema({**kinds, **dict.fromkeys(names, pa.float32()), **texts})

    class Rows:
        def __init__(self, stream: pq.ParquetWriter) -> None:
            self._stream = stream

        def write(self, predictions: Sequence[Prediction]) -> None:
            rows = [[p.row, p.label, p.probability, *p.all, *_texts(p, len(texts))] for p in predictions]
            columns = [list(column) for column in zip(*rows, strict=True)]
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            self._stream.write_batch(pa.record_batch(arrays, schema=schema))

    with pq.ParquetWriter(file, schema, compression="zstd") as stream:
        yield Rows(stream)


def _texts(prediction: Prediction, columns: int) -> list[str | None]:
    """Return the cells of the text columns: the text in the first of them."""
    return [prediction.text, *[None] * (columns - 1)] if columns else []


def _columns(labels: Sequence[str]) -> list[str]:
    return [f"probability_{label}" for label in labels]
