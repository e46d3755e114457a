"""Read unvalidated rows from CSV, TSV, JSONL, Parquet or a hub dataset.

Errors name the file, the row and the column.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gendist.config.dataset_settings import Dataset
from gendist.errors import GendistError
from gendist.io.delimited_files import DelimitedFile, ReadOptions, first_record_is_data, open_delimited, require_columns
from gendist.io.escape import shorten
from gendist.io.json_files import read_json_lines
from gendist.io.regular_files import require_regular_file
from gendist.io.text_encodings import COMMAND_OPTION, DATASET_KEY, ROWS_FILE, TextFile, text_file

_DEFAULT_READING = ReadOptions()


@dataclass(frozen=True)
class RawRows:
    """Unvalidated rows as parallel columns, with their location for error messages."""

    name: str
    """File or hub split."""
    columns: dict[str, list[Any]]
    numbers: list[int]
    """Number of each row in messages: line number in text files, one-based row number elsewhere."""
    unit: str
    """What ``numbers`` counts: 'line' or 'row'."""
    fingerprint: str | None = None
    """Id and fingerprint of a hub split; None for files, which are hashed."""
    label_names: list[str] | None = None
    """Class names, if the source defines them."""
    notes: list[str] = field(default_factory=list)
    """Warnings about how the file was read."""
    duplicate_columns: tuple[str, ...] = ()
    """Names that occur more than once in the header; reading all columns skips them."""
    reading: ReadOptions = _DEFAULT_READING
    """Format options of a text file."""


def read_split(settings: Dataset, split: str) -> RawRows:
    """Read the text and label columns of the ``train`` or ``test`` split.

    Raises:
        GendistError: if a file or column is missing, the format is unknown, the encoding is unreadable or a row
            is malformed.
    """
    columns = [*settings.text, settings.label]
    if settings.hub is not None:
        return _read_hub(settings, settings.train_split if split == "train" else settings.test_split, columns)
    path = Path(str(settings.train if split == "train" else settings.test))
    return read_rows(path, columns, reading=reading_options(settings), key=f" (key '{split}' of the dataset)")


def reading_options(settings: Dataset) -> ReadOptions:
    """Return the options for reading a dataset's text files."""
    return ReadOptions(settings.encoding, settings.delimiter, settings.quoting, settings.header)


def read_rows(
    path: Path,
    columns: Sequence[str] | None,
    *,
    reading: ReadOptions = _DEFAULT_READING,
    key: str = "",
    option: str = DATASET_KEY,
    expected: Sequence[str] = (),
) -> RawRows:
    """Read columns of a file.

    Args:
        path: a .csv, .tsv, .jsonl or .parquet file.
        columns: names of the columns; None reads all except duplicate names.
        reading: encoding, delimiter, quoting and header options of text files.
        key: config key of the file, for error messages.
        option: template for naming a reading option in messages.
        expected: with ``columns=None``, names that identify the header.

    Raises:
        GendistError: under the conditions of ``read_split``.
    """
    require_file_type(path, key)
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            return _read_parquet(path, columns)
        file = text_file(path, option)
        if suffix == ".jsonl":
            return _read_jsonl(file, columns, reading)
        return _read_delimited(file, columns, reading=reading, expected=columns or expected, tabs=suffix == ".tsv")
    except OSError as error:
        raise GendistError(f"{path}: cannot be read ({error.strerror})") from None


def require_file_type(path: Path, key: str = "") -> int:
    """Require a supported file type of at most ``MAX_BYTES``; returns the size in bytes."""
    if path.suffix.lower() not in ACCEPTED_SUFFIXES:
        hint = SUFFIX_HINTS.get(path.suffix.lower(), "")
        raise GendistError(f"{path}: unknown file type '{path.suffix}'; accepted: {', '.join(ACCEPTED_SUFFIXES)}{hint}")
    size = require_regular_file(path, key)
    if size > MAX_BYTES:
        raise GendistError(f"{path}: larger than {MAX_BYTES / 2**30:.0f} GiB; take a sample of its rows")
    return size


MAX_BYTES = 4 * 2**30
"""Limit for a file, and for the decompressed columns of a Parquet file: all rows are loaded into memory."""
MAX_ROWS = 20_000_000
PARQUET_BATCH_ROWS = 1024
"""Rows of a Parquet file decompressed between two size checks."""
TEXT_SUFFIXES = (".csv", ".tsv", ".jsonl")
ACCEPTED_SUFFIXES = (*TEXT_SUFFIXES, ".parquet")
SUFFIX_HINTS = {
    **dict.fromkeys((".xlsx", ".xls", ".ods", ".numbers"), "; save the spreadsheet as CSV (UTF-8)"),
    **dict.fromkeys((".gz", ".bz2", ".xz", ".zst", ".zip"), "; decompress it"),
    **dict.fromkeys((".ndjson", ".jsonlines"), "; rename it to .jsonl"),
    ".json": "; write a .jsonl file with one object per line (jq -c '.[]' FILE.json > FILE.jsonl)",
}
"""What to do with a file of another type."""
_NO_HEADER = {
    COMMAND_OPTION: "; if line 1 is a row, not a header, set --no-header",
    DATASET_KEY: "; if line 1 is a row, not a header, set header: false",
    ROWS_FILE: "; line 1 must have the names of the columns",
}


def _read_delimited(
    file: TextFile, columns: Sequence[str] | None, *, reading: ReadOptions, expected: Sequence[str], tabs: bool
) -> RawRows:
    sheet = open_delimited(file, reading, expected, tabs)
    notes = list(sheet.notes)
    header = has_header(sheet, reading, expected)
    if not header and reading.header is None:
        notes.append("line 1 is taken for a row because its values recur below it: columns are named by number")
    names = sheet.columns(header)
    if columns is not None:
        hint = ""
        if header and first_record_is_data(sheet):
            hint = _NO_HEADER[file.option]
        require_columns(file.name, names, columns, hint)
    selected = [name for name in names if names.count(name) == 1] if columns is None else columns
    values: dict[str, list[Any]] = {column: [] for column in selected}
    indices = {column: names.index(column) for column in values}
    lines: list[int] = []
    for line, record in sheet.rows(header):
        for column, index in indices.items():
            values[column].append(record[index])
        lines.append(line)
    duplicates = tuple(dict.fromkeys(name for name in names if names.count(name) > 1))
    return RawRows(
        file.name,
        values,
        lines,
        "line",
        notes=notes,
        duplicate_columns=duplicates,
        reading=replace(reading, header=header),
    )


def has_header(sheet: DelimitedFile, reading: ReadOptions, expected: Sequence[str]) -> bool:
    """Return whether the first record is the header: from the options, the expected columns or the values.

    Raises:
        GendistError: if the first record may be either.
    """
    if reading.header is not None:
        return reading.header
    if expected and set(expected) <= set(sheet.first):
        return True
    is_row = first_record_is_data(sheet)
    if is_row is None:
        cells = ", ".join(f"'{shorten(cell, 60)}'" for cell in sheet.first)
        raise GendistError(
            f"{sheet.file.name}: line 1 ({cells}) may be a header or a row, because it has a value that recurs below, "
            "or a text; set --header or --no-header"
        )
    return not is_row


def _read_jsonl(file: TextFile, columns: Sequence[str] | None, reading: ReadOptions) -> RawRows:
    records: list[dict[str, Any]] = []
    lines: list[int] = []
    for number, record in read_json_lines(file, reading.encoding, columns or ()):
        for column in columns or ():
            if column not in record:
                raise GendistError(f"{file.name}, line {number}: no key '{column}' (has {', '.join(record)})")
        records.append(record)
        lines.append(number)
    selected = list(dict.fromkeys(key for record in records for key in record)) if columns is None else columns
    values = {column: [record.get(column) for record in records] for column in selected}
    return RawRows(file.name, values, lines, "line", reading=reading)


def _read_parquet(path: Path, columns: Sequence[str] | None) -> RawRows:
    import pyarrow as pa

    from gendist.io.parquet import open_parquet

    with open_parquet(path) as parquet:
        present = parquet.schema_arrow.names
        selected = list(dict.fromkeys(present if columns is None else columns))
        require_columns(str(path), present, selected)
        if parquet.metadata.num_rows > MAX_ROWS:
            raise GendistError(f"{path}: {parquet.metadata.num_rows:,} rows; at most {MAX_ROWS:,} are accepted")
        values: dict[str, list[Any]] = {column: [] for column in selected}
        size = 0
        for batch in parquet.iter_batches(PARQUET_BATCH_ROWS, columns=selected):
            # Count decoded rows: a dictionary stores each text only once.
            parts = [batch[column] for column in selected]
            parts = [part.dictionary_decode() if pa.types.is_dictionary(part.type) else part for part in parts]
            size += sum(part.nbytes for part in parts)
            if size > MAX_BYTES:
                raise GendistError(f"{path}: larger than {MAX_BYTES / 2**30:.0f} GiB decompressed; take a sample")
            for column, part in zip(selected, parts, strict=True):
                values[column] += part.to_pylist()
    rows = list(range(1, len(next(iter(values.values()), [])) + 1))
    return RawRows(str(path), values, rows, "row")


def _read_hub(settings: Dataset, split: str, columns: Sequence[str]) -> RawRows:
    name = f"{settings.hub} ({split})"
    try:
        from datasets import ClassLabel, load_dataset
    except ImportError:
        raise GendistError("hub datasets need an extra: pip install 'gendist[hub]'") from None
    try:
        loaded = load_dataset(settings.hub, settings.hub_config, split=split, revision=settings.revision)
    except Exception as error:  # the library raises many types
        raise GendistError(f"hub dataset {name}: {type(error).__name__}: {str(error).splitlines()[0]}") from None
    present = loaded.column_names
    for column in columns:
        if column not in present:
            raise GendistError(f"hub dataset {name}: no column '{column}' (has {', '.join(present)})")
    feature = loaded.features[settings.label]
    names = list(feature.names) if isinstance(feature, ClassLabel) else None
    fingerprint = f"{settings.hub}@{settings.revision or 'main'}/{split}:{loaded._fingerprint}"
    rows = list(range(1, loaded.num_rows + 1))
    return RawRows(name, {c: list(loaded[c]) for c in columns}, rows, "row", fingerprint, names)
