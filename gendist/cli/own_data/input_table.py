"""Read a user's file with all its columns, and check the columns that the study uses."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from gendist.errors import GendistError
from gendist.io.delimited_files import ReadOptions
from gendist.io.text_encodings import COMMAND_OPTION, guess_encoding
from gendist.stages.texts.raw_rows import TEXT_SUFFIXES, RawRows, read_rows, require_file_type


@dataclass(frozen=True)
class InputTable:
    """A user's file with all its columns."""

    path: Path
    source: RawRows

    @property
    def encoding(self) -> str:
        """Encoding of a text file."""
        return self.source.reading.encoding


@dataclass(frozen=True)
class ColumnRoles:
    """Names of the text and label columns."""

    text: Sequence[str]
    label: str


def read_table(path: Path, reading: ReadOptions, guess: bool, named: Sequence[str] = ()) -> InputTable:
    """Read a file of any accepted kind with all its columns.

    Args:
        path: the file.
        reading: format options.
        guess: whether to detect the encoding.
        named: columns named by the user.

    Raises:
        GendistError: if the file cannot be read or has no rows.
    """
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        raise GendistError(f"{os.fspath(path)!a}: the name of the file is not UTF-8; rename it") from None
    require_file_type(path)
    if guess and path.suffix.lower() in TEXT_SUFFIXES:
        try:
            reading = replace(reading, encoding=guess_encoding(path.read_bytes()))
        except OSError as error:
            raise GendistError(f"{path}: cannot be read ({error.strerror})") from None
    source = read_rows(path, None, reading=reading, option=COMMAND_OPTION, expected=named)
    if not source.numbers:
        raise GendistError(f"{path}: no rows")
    if guess and reading.encoding in ("cp1252", "latin-1"):
        note = f"not UTF-8, read as {reading.encoding}; if accented letters are wrong, set --encoding"
        source = replace(source, notes=[note, *source.notes])
    return InputTable(path, source)


def check_columns(table: InputTable, names: Sequence[str]) -> None:
    """Raise if a column is missing or its name occurs twice.

    Raises:
        GendistError: with the first such column.
    """
    for name in names:
        if name in table.source.duplicate_columns:
            raise GendistError(f"{table.path}: column '{name}' occurs twice in the header; rename one of them")
        if name not in table.source.columns:
            present = ", ".join(f"'{column}'" for column in table.source.columns)
            close = get_close_matches(name.lower(), [column.lower() for column in table.source.columns], 1)
            suggestion = [column for column in table.source.columns if column.lower() in close]
            hint = f"; did you mean '{suggestion[0]}'?" if suggestion else ""
            raise GendistError(f"{table.path}: no column '{name}' (has {present}){hint}")
