"""Which columns of an input are its texts, decided once per file."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from gendist.errors import GendistError
from gendist.io.delimited import Reading, Sheet, is_prose, looks_like_row, require_columns

LOOKAHEAD = 1000
"""JSON objects that are looked at before their text's key is decided, where the first one lacks it."""
HEADER_NAME = re.compile(r"[^\W\d][\w.-]{0,40}")
"""What the header of a single column looks like, whatever it is called."""

Notify = Callable[[str], None]
Records = Iterator[tuple[int, dict[str, Any]]]


def select_columns(name: str, present: Sequence[str], wanted: Sequence[str] | None, hint: str = "") -> list[str]:
    """Return the wanted columns, all of them for None.

    Raises:
        GendistError: if one is missing or stands twice.
    """
    found = list(present if wanted is None else wanted)
    require_columns(name, present, found, hint)
    return found


def choose_delimited_columns(
    name: str, sheet: Sheet, reading: Reading, chosen: Sequence[str] | None, wanted: Sequence[str], tell: Notify
) -> tuple[bool, list[str]]:
    """Decide whether a delimited file has a header, and which columns make the text.

    Args:
        name: what messages call the file.
        sheet: the file.
        reading: what the user says of it.
        chosen: columns that the user names.
        wanted: those, else the ones of the training texts.
        tell: takes a line that the user should know.

    Raises:
        GendistError: if a column is missing, or the first line may be a header as well as a row.
    """
    first = sheet.first
    if chosen is None and len(first) == 1:
        _require_matching_delimiter(name, first[0], wanted)
    header = True if reading.header is None and (chosen or len(first) != 1) else reading.header
    if header is None:
        header = set(wanted) <= set(first) or _is_single_column_header(name, sheet)
        if not header:
            tell(f"{name}: line 1 is taken for a text, not for a header; --header takes it for the column's name")
    present = sheet.columns(header)
    if chosen is None and len(present) == 1 and present != list(wanted):
        if header:
            tell(f"{name}: column '{first[0]}' is taken for the text")
        return header, present
    hint = "; name the text's with --text"
    if header and reading.header is None and looks_like_row(sheet) is not False:
        hint = "; if line 1 is a row and no header: --no-header, and --text with the column's number from 1"
    return header, select_columns(name, present, wanted, hint)


def _is_single_column_header(name: str, sheet: Sheet) -> bool:
    """Whether the first line of a file of one column is its header."""
    cell, others = sheet.first[0].strip(), [record[0] for record in sheet.sample if len(record) == 1]
    if HEADER_NAME.fullmatch(cell) and (not others or is_prose(others, 2)) and cell not in others:
        return True
    if len(cell.split()) >= 4 and not cell.endswith("?") and is_prose(others, 2):
        return False
    raise GendistError(
        f"{name}: line 1 ('{cell[:60]}') may be a text or the header of the only column; "
        "say which with --no-header or --header"
    )


def _require_matching_delimiter(name: str, header: str, wanted: Sequence[str]) -> None:
    """Refuse a first line in which the text's column stands beside others: the delimiter is another."""
    if [header] != list(wanted) and any(
        re.search(rf"(^|[^\w\s]){re.escape(column)}($|[^\w\s])", header) for column in wanted
    ):
        raise GendistError(
            f"{name}: no column '{wanted[0]}' (has '{header}'); name what separates its columns with --delimiter"
        )


@dataclass(frozen=True)
class JsonColumns:
    """The keys of JSON objects that make the text."""

    names: Sequence[str]
    records: Records
    """All objects, those looked at included."""
    instead: bool = False
    """Whether the only key there is stands in for that of the training texts."""


def choose_json_columns(
    name: str,
    records: Records,
    chosen: Sequence[str] | None,
    trained_on: Sequence[str],
    kept: Sequence[str],
    tell: Notify,
) -> JsonColumns:
    """Decide which keys make the text: those named, those of the training texts, or the only one.

    Args:
        name: what messages call the file.
        records: its objects.
        chosen: keys that the user names.
        trained_on: keys of the training texts.
        kept: keys that go into the output.
        tell: takes a line that the user should know.

    Raises:
        GendistError: if none of the first objects has one of the keys.
    """
    wanted = list(chosen or trained_on)
    head = list(islice(records, 1))
    if not head:
        return JsonColumns(wanted, records)
    if not {*wanted, *kept} <= head[0][1].keys():
        head += islice(records, LOOKAHEAD - 1)
    present = list(dict.fromkeys(key for _, record in head for key in record))
    found = chain(head, records)
    require_columns(name, present, kept)
    if chosen is None and len(present) == 1 and present != wanted:
        tell(f"{name}: key '{present[0]}' is taken for the text")
        return JsonColumns(present, found, instead=True)
    require_columns(name, present, wanted, "; name the text's with --text")
    return JsonColumns(wanted, found)
