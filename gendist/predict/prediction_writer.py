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
from gendist.io.atomic import whole_file

STDOUT = "-"
RESULT_COLUMNS = ("row", "label", "probability")
"""Columns of every output."""
DIGITS = 6
"""Decimal places of probabilities; float32 has no more to say."""


@dataclass(frozen=True)
class Prediction:
    """What is said of a row; a row without a text has neither label nor probabilities."""

    row: int
    label: str | None
    probability: float | None
    """Of the likeliest class, whether it is likely enough to be the label or not."""
    all: Sequence[float | None]
    """Of every class, in the model's order; empty where not asked for."""
    kept: Sequence[Any] = ()
    """Values of the input's columns that are written too."""
    text: str | None = None
    """Written only where the header has text columns."""

    def text_cells(self, columns: int) -> list[str | None]:
        """Return the cells of so many text columns: the text in the first of them."""
        return [self.text, *[None] * (columns - 1)] if columns else []


class OutputColumns:
    """Names of the columns of an output."""

    def __init__(self, labels: Sequence[str] = (), kept: Sequence[str] = (), texts: Sequence[str] = ()) -> None:
        """Name the columns.

        Args:
            labels: classes whose probabilities are written too.
            kept: columns of the input that are written too; one that is called like a column of the output gets the
                prefix ``input_``.
            texts: columns for the text, which goes to the first of them.

        Raises:
            GendistError: if a column for the text is called like one of the predictions.
        """
        self.labels = list(labels)
        self.probabilities = [f"probability_{label}" for label in labels]
        self.texts = list(texts)
        others = [*RESULT_COLUMNS, *self.probabilities]
        if doubled := sorted(set(texts) & set(others)):
            raise GendistError(
                f"--texts: the text column '{doubled[0]}' has the name of a column of predictions; leave it out"
            )
        self.kept: list[str] = []
        for name in kept:
            while name in (*others, *self.texts, *self.kept):
                name = f"input_{name}"
            self.kept.append(name)

    @property
    def columns(self) -> list[str]:
        """All of them in order."""
        return ["row", *self.kept, "label", "probability", *self.probabilities, *self.texts]


class PredictionWriter(Protocol):
    """Takes predictions chunk by chunk."""

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Write some more rows."""


@contextmanager
def open_writer(target: str, header: OutputColumns) -> Iterator[PredictionWriter]:
    """Open a target; the file has its name only once everything is written.

    Args:
        target: a .csv, .tsv, .jsonl or .parquet file, or ``-`` for CSV on the standard output.
        header: names of the columns.

    Raises:
        GendistError: for another suffix, or where no file can be written.
    """
    if target == STDOUT:
        with _open_delimited(sys.stdout, ",", header) as lines:
            yield lines
        return
    suffix = Path(target).suffix.lower()
    if suffix not in (".csv", ".tsv", ".jsonl", ".parquet"):
        raise GendistError(f"{target}: unknown file type '{suffix}'; accepted: .csv, .tsv, .jsonl, .parquet")
    try:
        with whole_file(Path(target)) as part:
            if suffix == ".parquet":
                with _open_parquet(part, header) as parquet:
                    yield parquet
                return
            with part.open("w", encoding="utf-8", newline="") as stream:
                if suffix == ".jsonl":
                    yield _JsonLinesWriter(stream, header)
                    return
                with _open_delimited(stream, "\t" if suffix == ".tsv" else ",", header) as lines:
                    yield lines
    except OSError as error:
        raise GendistError(f"{target}: cannot be written ({error.strerror or error})") from None


class _DelimitedWriter:
    def __init__(self, stream: TextIO, delimiter: str, header: OutputColumns) -> None:
        self._stream = stream
        self._writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
        self._header: list[str] | None = header.columns
        self._n_texts = len(header.texts)

    def write(self, predictions: Sequence[Prediction]) -> None:
        # Not before the first rows are there, so that a mistake in the input leaves nothing on the terminal.
        if self._header is not None:
            self._writer.writerow(self._header)
            self._header = None
        for p in predictions:  # None becomes an empty field
            cells = [p.row, *map(_to_cell, p.kept), p.label, p.probability, *p.all]
            self._writer.writerow([*cells, *p.text_cells(self._n_texts)])
        self._stream.flush()


def _to_cell(value: Any) -> str | None:
    """Return a value of the input as a cell: what is no text as JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


@contextmanager
def _open_delimited(stream: TextIO, delimiter: str, header: OutputColumns) -> Iterator[PredictionWriter]:
    lines = _DelimitedWriter(stream, delimiter, header)
    yield lines
    lines.write([])  # the header of a file without rows


class _JsonLinesWriter:
    def __init__(self, stream: TextIO, header: OutputColumns) -> None:
        self._stream = stream
        self._header = header

    def write(self, predictions: Sequence[Prediction]) -> None:
        for p in predictions:
            kept = dict(zip(self._header.kept, p.kept, strict=True))
            record: dict[str, Any] = {"row": p.row, **kept, "label": p.label, "probability": p.probability}
            if self._header.labels:
                every = dict(zip(self._header.labels, p.all, strict=True))
                record["probabilities"] = every if p.probability is not None else None
            record |= zip(self._header.texts, p.text_cells(len(self._header.texts)), strict=True)
            self._stream.write(json.dumps(record, ensure_ascii=False, default=str) + "\n")
        self._stream.flush()


@contextmanager
def _open_parquet(file: Path, header: OutputColumns) -> Iterator[PredictionWriter]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise GendistError("Parquet needs pyarrow: pip install 'gendist[predict]'") from None
    kinds = {"row": pa.int64(), "probability": pa.float32(), **dict.fromkeys(header.probabilities, pa.float32())}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in header.columns])

    class Rows:
        def __init__(self, stream: pq.ParquetWriter) -> None:
            self._stream = stream

        def write(self, predictions: Sequence[Prediction]) -> None:
            rows = [
                [p.row, *map(_to_cell, p.kept), p.label, p.probability, *p.all, *p.text_cells(len(header.texts))]
                for p in predictions
            ]
            columns = [list(column) for column in zip(*rows, strict=True)]
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            self._stream.write_batch(pa.record_batch(arrays, schema=schema))

    with pq.ParquetWriter(file, schema, compression="zstd") as stream:
        yield Rows(stream)
