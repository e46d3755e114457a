"""Read rows from CSV, TSV, JSONL, Parquet or a hub dataset, with errors that name file, row and column."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gendist.artifacts import hash_file, read_parquet
from gendist.errors import GendistError
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
    if path.suffix.lower() not in _READERS:
        raise GendistError(f"{path}: unknown file type '{path.suffix}'; accepted: {', '.join(_READERS)}")
    if not path.is_file():
        raise GendistError(f"{path}: no such file (key '{split}' of the dataset)")
    try:
        return _READERS[path.suffix.lower()](path, columns)
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise GendistError(f"{path}: not UTF-8 near line {line}; convert it, e.g. with iconv -t UTF-8") from None
    except OSError as error:
        raise GendistError(f"{path}: cannot be read ({error.strerror})") from None


def _require(path: Path, present: Sequence[str], wanted: Sequence[str]) -> None:
    for column in wanted:
        if column not in present:
            raise GendistError(f"{path}: no column '{column}' (has {', '.join(map(str, present)) or 'none'})")


def _read_delimited(path: Path, columns: Sequence[str], delimiter: str) -> Source:
    picked: dict[str, list[Any]] = {column: [] for column in columns}
    lines: list[int] = []
    text = path.read_bytes().decode("utf-8-sig")  # decoded whole, so that an error knows its byte
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
        _require(path, header, columns)
        if len(set(header)) < len(header):
            raise GendistError(f"{path}: a column name stands twice in the header ({', '.join(header)})")
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
        raise GendistError(f"{path}, line {reader.line_num}: broken quoting ({error})") from None
    return Source(str(path), picked, lines, "line", hash_file(path))


def _read_csv(path: Path, columns: Sequence[str]) -> Source:
    return _read_delimited(path, columns, ",")


def _read_tsv(path: Path, columns: Sequence[str]) -> Source:
    return _read_delimited(path, columns, "\t")


def _read_jsonl(path: Path, columns: Sequence[str]) -> Source:
    picked: dict[str, list[Any]] = {column: [] for column in columns}
    lines: list[int] = []
    # Only \n ends a line: other Unicode line breaks may stand inside a JSON string.
    for number, line in enumerate(path.read_bytes().decode("utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", str(error))
            raise GendistError(f"{path}, line {number}: not valid JSON ({reason})") from None
        if not isinstance(record, dict):
            raise GendistError(f"{path}, line {number}: expected a JSON object with {', '.join(columns)}")
        for column in picked:
            if column not in record:
                raise GendistError(f"{path}, line {number}: no key '{column}' (has {', '.join(record)})")
            picked[column].append(record[column])
        lines.append(number)
    return Source(str(path), picked, lines, "line", hash_file(path))


def _read_parquet(path: Path, columns: Sequence[str]) -> Source:
    table = read_parquet(path, list(dict.fromkeys(columns)))
    rows = list(range(1, table.num_rows + 1))
    return Source(str(path), {c: table[c].to_pylist() for c in columns}, rows, "row", hash_file(path))


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


_READERS: dict[str, Callable[[Path, Sequence[str]], Source]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
