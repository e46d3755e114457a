"""Write predictions to files and standard output, chunk by chunk."""

import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Protocol, TextIO

from gendist.errors import GendistError
from gendist.io.atomic_files import atomic_write
from gendist.io.delimited_files import row_writer

STDOUT = "-"
RESULT_COLUMNS = ("row", "label", "probability")
"""Columns of every output."""
DIGITS = 6
"""Decimal places of probabilities: the precision of float32."""


@dataclass(frozen=True)
class Prediction:
    """The prediction for a row; a row without a text has neither label nor probabilities."""

    row: int
    label: str | None
    probability: float | None
    """Of the most probable class, also if it is below the threshold."""
    class_probabilities: Sequence[float | None]
    """Of every class, in the order of the model; empty if not requested."""
    kept: Sequence[Any] = ()
    """Values of the columns copied from the input."""
    text: str | None = None
    """Written if the output has text columns."""

    def text_cells(self, columns: int) -> list[str | None]:
        """Return the cells of the text columns: the text in the first, the others empty."""
        return [self.text, *[None] * (columns - 1)] if columns else []


class OutputColumns:
    """Column names of an output."""

    def __init__(self, labels: Sequence[str] = (), kept: Sequence[str] = (), texts: Sequence[str] = ()) -> None:
        """Name the columns.

        Args:
            labels: classes whose probabilities are written.
            kept: columns copied from the input; the prefix ``input_`` resolves name clashes.
            texts: text columns; the text goes to the first.

        Raises:
            GendistError: if a text column has the name of a prediction column.
        """
        self.labels = list(labels)
        self.probabilities = [f"probability_{label}" for label in labels]
        self.texts = list(texts)
        reserved = [*RESULT_COLUMNS, *self.probabilities]
        if clashes := sorted(set(texts) & set(reserved)):
            raise GendistError(
                f"--texts: the text column '{clashes[0]}' has the name of a prediction column; leave out --texts"
            )
        self.kept: list[str] = []
        for name in kept:
            while name in (*reserved, *self.texts, *self.kept):
                name = f"input_{name}"
            self.kept.append(name)

    @property
    def columns(self) -> list[str]:
        """All column names in order."""
        return ["row", *self.kept, "label", "probability", *self.probabilities, *self.texts]


class PredictionWriter(Protocol):
    """Writes predictions chunk by chunk."""

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Append rows."""


@contextmanager
def open_writer(target: str, header: OutputColumns) -> Iterator[PredictionWriter]:
    """Open a target; files are written atomically.

    Args:
        target: a .csv, .tsv, .jsonl or .parquet file, or ``-`` for CSV on standard output.
        header: column names.

    Raises:
        GendistError: for another suffix, or if the file cannot be written.
    """
    if target == STDOUT:
        if isinstance(sys.stdout, TextIOWrapper) and not sys.stdout.isatty():
            sys.stdout.reconfigure(encoding="utf-8")  # as files; the locale may lack characters
        with _open_delimited(sys.stdout, ",", header) as writer:
            yield writer
        return
    suffix = Path(target).suffix.lower()
    if suffix not in (".csv", ".tsv", ".jsonl", ".parquet"):
        raise GendistError(f"{target}: unknown file type '{suffix}'; accepted: .csv, .tsv, .jsonl, .parquet")
    try:
        with atomic_write(Path(target)) as part:
            if suffix == ".parquet":
                with _open_parquet(part, header) as parquet:
                    yield parquet
                return
            with part.open("w", encoding="utf-8", newline="") as stream:
                if suffix == ".jsonl":
                    yield _JsonLinesWriter(stream, header)
                    return
                with _open_delimited(stream, "\t" if suffix == ".tsv" else ",", header) as writer:
                    yield writer
    except OSError as error:
        raise GendistError(f"{target}: cannot be written ({error.strerror or error})") from None


class _DelimitedWriter:
    def __init__(self, stream: TextIO, delimiter: str, header: OutputColumns) -> None:
        self._stream = stream
        self._writer = row_writer(stream, delimiter)
        self._header: list[str] | None = header.columns
        self._n_texts = len(header.texts)

    def write(self, predictions: Sequence[Prediction]) -> None:
        # Write the header with the first rows, so that an input error leaves the terminal empty.
        if self._header is not None:
            self._writer.writerow(self._header)
            self._header = None
        for p in predictions:  # None becomes an empty field
            cells = [p.row, *map(_to_cell, p.kept), p.label, p.probability, *p.class_probabilities]
            self._writer.writerow([*cells, *p.text_cells(self._n_texts)])
        self._stream.flush()


def _to_cell(value: Any) -> str | None:
    """Return an input value as a cell: numbers, booleans, lists and objects as JSON, dates and decimals as text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return _to_json(value) if isinstance(value, bool | int | float | list | dict) else str(value)


def _to_json(value: Any) -> str:
    """Return a value as JSON; numbers that JSON lacks become null."""
    try:
        return json.dumps(value, ensure_ascii=False, default=str, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, default=str)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def _open_delimited(stream: TextIO, delimiter: str, header: OutputColumns) -> Iterator[PredictionWriter]:
    writer = _DelimitedWriter(stream, delimiter, header)
    yield writer
    writer.write([])  # header of an output without rows


class _JsonLinesWriter:
    def __init__(self, stream: TextIO, header: OutputColumns) -> None:
        self._stream = stream
        self._header = header

    def write(self, predictions: Sequence[Prediction]) -> None:
        for p in predictions:
            kept = dict(zip(self._header.kept, p.kept, strict=True))
            record: dict[str, Any] = {"row": p.row, **kept, "label": p.label, "probability": p.probability}
            if self._header.labels:
                by_label = dict(zip(self._header.labels, p.class_probabilities, strict=True))
                record["probabilities"] = by_label if p.probability is not None else None
            record |= zip(self._header.texts, p.text_cells(len(self._header.texts)), strict=True)
            self._stream.write(_to_json(record) + "\n")
        self._stream.flush()


@contextmanager
def _open_parquet(file: Path, header: OutputColumns) -> Iterator[PredictionWriter]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise GendistError("Parquet needs pyarrow: pip install pyarrow (extra 'parquet')") from None
    types = {"row": pa.int64(), "probability": pa.float32(), **dict.fromkeys(header.probabilities, pa.float32())}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in header.columns])

    class ParquetChunks:
        def __init__(self, stream: pq.ParquetWriter) -> None:
            self._stream = stream

        def write(self, predictions: Sequence[Prediction]) -> None:
            rows = [
                [
                    p.row,
                    *map(_to_cell, p.kept),
                    p.label,
                    p.probability,
                    *p.class_probabilities,
                    *p.text_cells(len(header.texts)),
                ]
                for p in predictions
            ]
            columns = [list(column) for column in zip(*rows, strict=True)]
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            self._stream.write_batch(pa.record_batch(arrays, schema=schema))

    with pq.ParquetWriter(file.absolute(), schema, compression="zstd") as stream:
        yield ParquetChunks(stream)
