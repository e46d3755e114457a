"""Choose the text columns of an input file, once per file."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from gendist.errors import GendistError
from gendist.io.delimited_files import DelimitedFile, ReadOptions, first_record_is_data, is_prose, require_columns

LOOKAHEAD = 1000
"""JSON objects read to find the text's key if the first object lacks it."""
HEADER_NAME = re.compile(r"[^\W\d][\w.-]{0,40}")
"""Matches the header of a file of one column."""

Notify = Callable[[str], None]
Records = Iterator[tuple[int, dict[str, Any]]]


def select_columns(name: str, available: Sequence[str], expected: Sequence[str] | None, hint: str = "") -> list[str]:
    """Return the expected columns, or all available ones for None.

    Raises:
        GendistError: if a column is missing or occurs twice.
    """
    found = list(available if expected is None else expected)
    require_columns(name, available, found, hint)
    return found


def choose_delimited_columns(
    name: str,
    sheet: DelimitedFile,
    *,
    reading: ReadOptions,
    requested: Sequence[str] | None,
    expected: Sequence[str],
    notify: Notify,
) -> tuple[bool, list[str]]:
    """Decide whether a delimited file has a header, and choose its text columns.

    Args:
        name: file name for messages.
        sheet: the file.
        reading: format options.
        requested: columns named by the user, or None.
        expected: the requested columns, else those of the training texts.
        notify: callback for notes to the user.

    Returns:
        Whether the first line is a header, and the names of the text columns.

    Raises:
        GendistError: if a column is missing, or the first line is ambiguous.
    """
    first = sheet.first
    if requested is None and len(first) == 1:
        _require_matching_delimiter(name, first[0], expected)
    header = True if reading.header is None and (requested or len(first) != 1) else reading.header
    if header is None:
        header = set(expected) <= set(first) or _is_single_column_header(name, sheet)
        if not header:
            notify(f"{name}: line 1 is read as a text; use --header to read it as the column's name")
    available = sheet.columns(header)
    if requested is None and len(available) == 1 and available != list(expected):
        if header:
            notify(f"{name}: column '{first[0]}' is used as the text")
        return header, available
    hint = "; name the text column with --text"
    if header and reading.header is None and first_record_is_data(sheet) is not False:
        hint = "; if the file has no header, use --no-header, and --text with the column's number from 1"
    return header, select_columns(name, available, expected, hint)


def _is_single_column_header(name: str, sheet: DelimitedFile) -> bool:
    """Return whether the first line of a one-column file is its header.

    Raises:
        GendistError: if the line is ambiguous.
    """
    cell, others = sheet.first[0].strip(), [record[0] for record in sheet.sample if len(record) == 1]
    if HEADER_NAME.fullmatch(cell) and (not others or is_prose(others, 2)) and cell not in others:
        return True
    if len(cell.split()) >= 4 and not cell.endswith("?") and is_prose(others, 2):
        return False
    raise GendistError(
        f"{name}: line 1 ('{cell[:60]}') may be a text or the header of the only column; use --no-header or --header"
    )


def _require_matching_delimiter(name: str, header: str, expected: Sequence[str]) -> None:
    """Raise if the header contains a text column among others: the delimiter was not recognised."""
    if [header] != list(expected) and any(
        re.search(rf"(^|[^\w\s]){re.escape(column)}($|[^\w\s])", header) for column in expected
    ):
        raise GendistError(f"{name}: no column '{expected[0]}' (has '{header}'); name the delimiter with --delimiter")


@dataclass(frozen=True)
class JsonColumns:
    """Text keys of JSON objects."""

    names: Sequence[str]
    records: Records
    """All objects, including those already read."""
    is_fallback: bool = False
    """Whether the file's only key replaces that of the training texts."""


def choose_json_columns(
    name: str,
    records: Records,
    *,
    requested: Sequence[str] | None,
    training_columns: Sequence[str],
    kept: Sequence[str],
    notify: Notify,
) -> JsonColumns:
    """Choose the text keys: the requested ones, those of the training texts, or the only key.

    Args:
        name: file name for messages.
        records: line numbers and objects.
        requested: keys named by the user, or None.
        training_columns: keys of the training texts.
        kept: keys copied to the output.
        notify: callback for notes to the user.

    Raises:
        GendistError: if a key is missing from the first ``LOOKAHEAD`` objects.
    """
    expected = list(requested or training_columns)
    head = list(islice(records, 1))
    if not head:
        return JsonColumns(expected, records)
    if not {*expected, *kept} <= head[0][1].keys():
        head += islice(records, LOOKAHEAD - 1)
    available = list(dict.fromkeys(key for _, record in head for key in record))
    found = chain(head, records)
    require_columns(name, available, kept)
    if requested is None and len(available) == 1 and available != expected:
        notify(f"{name}: key '{available[0]}' is used as the text")
        return JsonColumns(available, found, is_fallback=True)
    require_columns(name, available, expected, "; name the text column with --text")
    return JsonColumns(expected, found)
