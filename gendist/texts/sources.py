"""Read rows from CSV, TSV, JSONL, Parquet or a hub dataset, with errors that name file, row and column."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from gendist.artifacts import hash_file
from gendist.artifacts.parquet import parquet_file
from gendist.errors import GendistError
from gendist.regular import require_regular
from gendist.texts.encodings import decoded
from gendist.texts.settings import Dataset


@dataclass(frozen=True)
class Source:
    """Rows as they came: parallel columns, and where to point the user to."""

    name: str
    """File or hub split, for error messages."""
    columns: dict[str, list[Any]]
    rows: list[int]
    """What the user would call each row: line number in text files, row number from 1 elsewhere."""
    unit: str
    """What ``rows`` counts: 'line' or 'row'."""
    digest: str
    """Content hash of the file, or id and fingerprint of the hub split."""
    label_names: list[str] | None = None
    """Class names, where the source knows them."""


def read_source(settings: Dataset, split: str) -> Source:
    """Read the ``train`` or ``test`` rows of a dataset, only the columns that the settings name.

    Raises:
        GendistError: missing file or column, unknown format, unreadable encoding, broken row.
    """
    columns = [*settings.text, settings.label]
    if settings.hub is not None:
        return _read_hub(settings, settings.train_split if split == "train" else settings.test_split, columns)
    path = Path(str(settings.train if split == "train" else settings.test))
    return read_file(path, columns, settings.encoding, f" (key '{split}' of the dataset)")


def read_file(path: Path, columns: Sequence[str] | None, encoding: str = "utf-8", key: str = "") -> Source:
    """Read columns of a file; None reads all that it has.

    Args:
        path: a .csv, .tsv, .jsonl or .parquet file.
        columns: names of the columns.
        encoding: of a text file.
        key: what of the config named the file, for the error message.

    Raises:
        GendistError: as ``read_source``.
    """
    if path.suffix.lower() not in _READERS:
        hint = "; save the spreadsheet as CSV (UTF-8)" if path.suffix.lower() in SPREADSHEETS else ""
        raise GendistError(f"{path}: unknown file type '{path.suffix}'; accepted: {', '.join(_READERS)}{hint}")
    if require_regular(path, key) > MOST_BYTES:
        raise GendistError(f"{path}: larger than {MOST_BYTES / 2**30:.0f} GiB; take a sample of its rows")
    try:
        return _READERS[path.suffix.lower()](path, columns, encoding)
    except OSError as error:
        raise GendistError(f"{path}: cannot be read ({error.strerror})") from None


MOST_BYTES = 4 * 2**30
"""Of a file, and of the columns of a Parquet file once unpacked, which may be small packed: all is held in memory."""
MOST_ROWS = 20_000_000
LONGEST_CELL = 10_000_000
"""Characters; what is longer is an unclosed quote."""
BATCH = 1024
"""Rows of a Parquet file that are unpacked before their size is looked at."""
TEXT_FILES = (".csv", ".tsv", ".jsonl")
SPREADSHEETS = (".xlsx", ".xls", ".ods", ".numbers")
DELIMITERS = (",", ";", "\t")
"""What may part the columns of a .csv: some spreadsheets write others than commas."""


def _require(path: Path, present: Sequence[str], wanted: Sequence[str]) -> None:
    for column in wanted:
        if column not in present:
            raise GendistError(f"{path}: no column '{column}' (has {', '.join(map(str, present)) or 'none'})")
        if list(present).count(column) > 1:
            raise GendistError(f"{path}: column '{column}' stands twice in the header ({', '.join(present)})")


def _read_delimited(path: Path, columns: Sequence[str] | None, encoding: str, delimiters: Sequence[str]) -> Source:
    text = decoded(path, encoding)
    delimiter = _delimiter(text, columns, delimiters)
    lines: list[int] = []
    line = 1
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
        wanted = list(dict.fromkeys(header)) if columns is None else columns
        _require(path, header, [] if columns is None else columns)
        picked: dict[str, list[Any]] = {column: [] for column in wanted}
        places = {column: header.index(column) for column in picked}
        line = reader.line_num + 1
        for record in reader:
            if record:
                if len(record) != len(header):
                    raise GendistError(
                        f"{path}, line {line}: {len(record)} fields, the header has {len(header)}; "
                        "quote texts that hold the delimiter or a line break"
                    )
                for column, place in places.items():
                    picked[column].append(record[place])
                lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        opened = "; a quote that is opened there is not closed" if reader.line_num > line else ""
        raise GendistError(f"{path}, line {line}: broken quoting ({error}){opened}") from None
    return Source(str(path), picked, lines, "line", hash_file(path))


def _delimiter(text: str, columns: Sequence[str] | None, delimiters: Sequence[str]) -> str:
    """Choose the delimiter under which the header has the columns; without any wanted, the most of them."""
    headers = {d: _first_record(text, d) for d in delimiters}
    if columns is None:
        return max(delimiters, key=lambda d: len(headers[d]))  # the first of equals
    return next((d for d in delimiters if set(columns) <= set(headers[d])), delimiters[0])


def _first_record(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), [])
    except csv.Error:
        return []


def _read_csv(path: Path, columns: Sequence[str] | None, encoding: str) -> Source:
    return _read_delimited(path, columns, encoding, DELIMITERS)


def _read_tsv(path: Path, columns: Sequence[str] | None, encoding: str) -> Source:
    return _read_delimited(path, columns, encoding, ["\t"])


def _read_jsonl(path: Path, columns: Sequence[str] | None, encoding: str) -> Source:
    records: list[dict[str, Any]] = []
    lines: list[int] = []
    # Only \n ends a line: other Unicode line breaks may stand inside a JSON string.
    for number, line in enumerate(decoded(path, encoding).split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line, object_pairs_hook=_keys_once)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", str(error))
            raise GendistError(f"{path}, line {number}: not valid JSON ({reason})") from None
        if not isinstance(record, dict):
            expected = f" with {', '.join(columns)}" if columns else ""
            raise GendistError(f"{path}, line {number}: expected a JSON object{expected}")
        for column in columns or ():
            if column not in record:
                raise GendistError(f"{path}, line {number}: no key '{column}' (has {', '.join(record)})")
        records.append(record)
        lines.append(number)
    wanted = list(dict.fromkeys(key for record in records for key in record)) if columns is None else columns
    picked = {column: [record.get(column) for record in records] for column in wanted}
    return Source(str(path), picked, lines, "line", hash_file(path))


def _keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its pairs; JSON leaves open which of two equal keys counts."""
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key '{next(key for key in keys if keys.count(key) > 1)}' stands twice")
    return record


def _read_parquet(path: Path, columns: Sequence[str] | None, encoding: str) -> Source:
    with parquet_file(path) as parquet:
        present = parquet.schema_arrow.names
        wanted = list(dict.fromkeys(present if columns is None else columns))
        _require(path, present, wanted)
        if parquet.metadata.num_rows > MOST_ROWS:
            raise GendistError(f"{path}: {parquet.metadata.num_rows:,} rows; at most {MOST_ROWS:,} are accepted")
        picked: dict[str, list[Any]] = {column: [] for column in wanted}
        size = 0
        for batch in parquet.iter_batches(BATCH, columns=wanted):
            # A dictionary holds each text once; its rows would not.
            parts = [batch[column] for column in wanted]
            parts = [part.dictionary_decode() if pa.types.is_dictionary(part.type) else part for part in parts]
            size += sum(part.nbytes for part in parts)
            if size > MOST_BYTES:
                raise GendistError(f"{path}: larger than {MOST_BYTES / 2**30:.0f} GiB unpacked; take a sample")
            for column, part in zip(wanted, parts, strict=True):
                picked[column] += part.to_pylist()
    rows = list(range(1, len(next(iter(picked.values()), [])) + 1))
    return Source(str(path), picked, rows, "row", hash_file(path))


def _read_hub(settings: Dataset, split: str, columns: Sequence[str]) -> Source:
    name = f"{settings.hub} ({split})"
    try:
        from datasets import ClassLabel, load_dataset
    except ImportError:
        raise GendistError("hub datasets need an extra: pip install 'gendist[hub]'") from None
    try:
        loaded = load_dataset(settings.hub, settings.hub_config, split=split, revision=settings.revision)
    except Exception as error:  # the library raises many kinds, all of which mean: not to be had
        raise GendistError(f"hub dataset {name}: {type(error).__name__}: {str(error).splitlines()[0]}") from None
    present = loaded.column_names
    for column in columns:
        if column not in present:
            raise GendistError(f"hub dataset {name}: no column '{column}' (has {', '.join(present)})")
    feature = loaded.features[settings.label]
    names = list(feature.names) if isinstance(feature, ClassLabel) else None
    digest = f"{settings.hub}@{settings.revision or 'main'}/{split}:{loaded._fingerprint}"
    rows = list(range(1, loaded.num_rows + 1))
    return Source(name, {c: list(loaded[c]) for c in columns}, rows, "row", digest, names)


_READERS: dict[str, Callable[[Path, Sequence[str] | None, str], Source]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
