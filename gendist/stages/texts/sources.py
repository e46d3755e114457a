"""Read rows from CSV, TSV, JSONL, Parquet or a hub dataset, with errors that name file, row and column."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gendist.config.dataset_settings import Dataset
from gendist.errors import GendistError
from gendist.io.delimited_files import DelimitedFile, ReadOptions, first_record_is_data, open_delimited, require_columns
from gendist.io.json_files import read_json_lines
from gendist.io.regular_files import require_regular_file
from gendist.io.text_encodings import COMMAND_OPTION, DATASET_KEY, ROWS_FILE, TextFile, text_file

_AS_USUAL = ReadOptions()


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
    digest: str | None = None
    """Id and fingerprint of a hub split; a file is known by its content."""
    label_names: list[str] | None = None
    """Class names, where the source knows them."""
    notes: list[str] = field(default_factory=list)
    """What the user should know of how the file was read."""
    twice: tuple[str, ...] = ()
    """Names that stand twice in the header; such columns are left out where all are read."""
    reading: ReadOptions = _AS_USUAL
    """How a text file was read."""


def read_source(settings: Dataset, split: str) -> Source:
    """Read the ``train`` or ``test`` rows of a dataset, only the columns that the settings name.

    Raises:
        GendistError: missing file or column, unknown format, unreadable encoding, broken row.
    """
    columns = [*settings.text, settings.label]
    if settings.hub is not None:
        return _read_hub(settings, settings.train_split if split == "train" else settings.test_split, columns)
    path = Path(str(settings.train if split == "train" else settings.test))
    return read_file(path, columns, reading_of(settings), f" (key '{split}' of the dataset)")


def reading_of(settings: Dataset) -> ReadOptions:
    """Return how a dataset's text files are to be read."""
    return ReadOptions(settings.encoding, settings.delimiter, settings.quoting, settings.header)


def read_file(
    path: Path,
    columns: Sequence[str] | None,
    reading: ReadOptions = _AS_USUAL,
    key: str = "",
    option: str = DATASET_KEY,
    expected: Sequence[str] = (),
) -> Source:
    """Read columns of a file; None reads all that it has, but those whose name stands twice.

    Args:
        path: a .csv, .tsv, .jsonl or .parquet file.
        columns: names of the columns.
        reading: what the user says of a text file.
        key: what of the config named the file, for the error message.
        option: template of what messages call an option of the reading.
        expected: where all columns are read, names by which the header is known.

    Raises:
        GendistError: as ``read_source``.
    """
    require_kind(path, key)
    kind = path.suffix.lower()
    try:
        if kind == ".parquet":
            return _read_parquet(path, columns)
        file = text_file(path, option)
        if kind == ".jsonl":
            return _read_jsonl(file, columns, reading)
        return _read_delimited(file, columns, reading, columns or expected, tabs=kind == ".tsv")
    except OSError as error:
        raise GendistError(f"{path}: cannot be read ({error.strerror})") from None


def require_kind(path: Path, key: str = "") -> int:
    """Refuse a file of an unknown kind, or of more bytes than are taken; returns its bytes."""
    if path.suffix.lower() not in ACCEPTED:
        hint = "; save the spreadsheet as CSV (UTF-8)" if path.suffix.lower() in SPREADSHEETS else ""
        raise GendistError(f"{path}: unknown file type '{path.suffix}'; accepted: {', '.join(ACCEPTED)}{hint}")
    size = require_regular_file(path, key)
    if size > MOST_BYTES:
        raise GendistError(f"{path}: larger than {MOST_BYTES / 2**30:.0f} GiB; take a sample of its rows")
    return size


MOST_BYTES = 4 * 2**30
"""Of a file, and of the columns of a Parquet file once unpacked, which may be small packed: all is held in memory."""
MOST_ROWS = 20_000_000
BATCH = 1024
"""Rows of a Parquet file that are unpacked before their size is looked at."""
TEXT_FILES = (".csv", ".tsv", ".jsonl")
ACCEPTED = (*TEXT_FILES, ".parquet")
SPREADSHEETS = (".xlsx", ".xls", ".ods", ".numbers")
_NO_HEADER = {
    COMMAND_OPTION: "; if line 1 is a row and no header, set --no-header",
    DATASET_KEY: "; if line 1 is a row and no header, set header: false",
    ROWS_FILE: "; line 1 must have the names of the columns",
}


def _read_delimited(
    file: TextFile, columns: Sequence[str] | None, reading: ReadOptions, expected: Sequence[str], tabs: bool
) -> Source:
    sheet = open_delimited(file, reading, expected, tabs)
    notes = list(sheet.notes)
    header = header_of(sheet, reading, expected)
    if not header and reading.header is None:
        notes.append("line 1 is taken for a row, since its values come again below it: columns are named by number")
    names = sheet.columns(header)
    if columns is not None:
        hint = ""
        if header and first_record_is_data(sheet):
            hint = _NO_HEADER[file.option]
        require_columns(file.name, names, columns, hint)
    wanted = [name for name in names if names.count(name) == 1] if columns is None else columns
    picked: dict[str, list[Any]] = {column: [] for column in wanted}
    places = {column: names.index(column) for column in picked}
    lines: list[int] = []
    for line, record in sheet.rows(header):
        for column, place in places.items():
            picked[column].append(record[place])
        lines.append(line)
    twice = tuple(dict.fromkeys(name for name in names if names.count(name) > 1))
    return Source(file.name, picked, lines, "line", notes=notes, twice=twice, reading=replace(reading, header=header))


def header_of(sheet: DelimitedFile, reading: ReadOptions, wanted: Sequence[str]) -> bool:
    """Return whether a sheet's first record is its header: as the reading says, else by the wanted columns or rows.

    Raises:
        GendistError: if that is unclear.
    """
    if reading.header is not None:
        return reading.header
    if wanted and set(wanted) <= set(sheet.first):
        return True
    is_row = first_record_is_data(sheet)
    if is_row is None:
        shown = ", ".join(f"'{cell}'" for cell in sheet.first)
        raise GendistError(
            f"{sheet.file.name}: line 1 ({shown}) may be a header or a row, since a value of it comes again below it; "
            "say which with --header or --no-header"
        )
    return not is_row


def _read_jsonl(file: TextFile, columns: Sequence[str] | None, reading: ReadOptions) -> Source:
    records: list[dict[str, Any]] = []
    lines: list[int] = []
    for number, record in read_json_lines(file, reading.encoding, columns or ()):
        for column in columns or ():
            if column not in record:
                raise GendistError(f"{file.name}, line {number}: no key '{column}' (has {', '.join(record)})")
        records.append(record)
        lines.append(number)
    wanted = list(dict.fromkeys(key for record in records for key in record)) if columns is None else columns
    picked = {column: [record.get(column) for record in records] for column in wanted}
    return Source(file.name, picked, lines, "line", reading=reading)


def _read_parquet(path: Path, columns: Sequence[str] | None) -> Source:
    import pyarrow as pa

    from gendist.io.parquet import open_parquet

    with open_parquet(path) as parquet:
        present = parquet.schema_arrow.names
        wanted = list(dict.fromkeys(present if columns is None else columns))
        require_columns(str(path), present, wanted)
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
    return Source(str(path), picked, rows, "row")


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
