"""The one reader of CSV and TSV files: delimiter, quoting and header by the evidence of the file.

The standard library alone: a study, ``gendist init`` and ``gendist predict`` all read with it.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

from gendist.errors import GendistError
from gendist.texts.encodings import TextFile
from gendist.texts.quoting import find_quoting

LONGEST_CELL = 10_000_000
"""Characters; what is longer is an unclosed quote."""
DELIMITERS = (",", ";", "\t", "|")
"""What may separate columns; some spreadsheets write others than commas."""
SAMPLE_LINES, SAMPLE_CHARACTERS = 200, 2**18
"""Lines at the start of a file by which its delimiter and its header are judged."""
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
"""First line by which Excel knows a file's delimiter; no row."""

Quoting = Literal["auto", "standard", "none"]


@dataclass(frozen=True)
class Reading:
    """How a text file is to be read, as far as the user says."""

    encoding: str = "utf-8"
    """A byte-order mark outweighs it."""
    delimiter: str | None = None
    """None decides by the header and the lines after it."""
    quoting: Quoting = "auto"
    """Whether a quote at the start of a field begins a quoted one; ``auto`` decides by the lines of the file."""
    header: bool | None = True
    """Whether the first line has the names of the columns; None leaves it to the reader's caller."""


@dataclass(frozen=True)
class Sheet:
    """A delimited file whose dialect is known."""

    file: TextFile
    encoding: str
    delimiter: str
    quoted: bool
    skipped: int
    """Lines before the first record: 1 where ``sep=;`` stands first."""
    first: list[str]
    """The first record: the header, unless there is none."""
    sample: list[list[str]]
    """Some of the records after it."""
    notes: list[str]
    """What the user should know of the file."""

    def columns(self, header: bool) -> list[str]:
        """Return the names of the columns: their numbers from 1 without a header."""
        return self.first if header else [str(number) for number in range(1, len(self.first) + 1)]

    def rows(self, header: bool) -> Iterator[tuple[int, list[str]]]:
        """Yield each row's first line and its fields; a blank line is no row.

        Raises:
            GendistError: a row with another number of fields than the first, or broken quoting.
        """
        records = self.records()
        if header:
            next(records, None)
        for line, record in records:
            if len(record) != len(self.first):
                first = "the header" if header else "the first line"
                raise GendistError(
                    f"{self.file.name}, line {line}: {len(record)} fields, {first} has {len(self.first)}; "
                    "quote texts that hold the delimiter or a line break"
                )
            yield line, record

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield all records, the header included, each with its first line.

        Raises:
            GendistError: broken quoting.
        """
        lines = self.file.lines(self.encoding, "")
        line = self.skipped + 1
        reader = _reader(islice(lines, self.skipped, None), self.delimiter, self.quoted)
        try:
            for record in reader:
                if record:
                    yield line, record
                line = self.skipped + reader.line_num + 1
        except csv.Error as error:
            reached = self.skipped + reader.line_num
            opened = "; a quote that is opened there is not closed" if reached > line else ""
            letters = f"; {self.file.option.format('quoting')} none takes quotes for letters" if self.quoted else ""
            raise GendistError(f"{self.file.name}, line {line}: broken quoting ({error}){opened}{letters}") from None


def _reader(lines: Iterator[str], delimiter: str, quoted: bool) -> Any:
    csv.field_size_limit(LONGEST_CELL)
    return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE, strict=True)


def open_sheet(file: TextFile, reading: Reading, wanted: Sequence[str] = (), tabs: bool = False) -> Sheet:
    """Find out the dialect of a delimited file; with ``quoting: auto``, all of it is read for that.

    Args:
        file: the file.
        reading: what the user says of it.
        wanted: columns that its header should have.
        tabs: whether its columns are separated by tabs, if its first line has one.

    Raises:
        GendistError: for another encoding, or quotes that may be either quoting or letters.
    """
    csv.field_size_limit(LONGEST_CELL)
    lines, size = [], 0
    for line in islice(file.lines(reading.encoding, ""), SAMPLE_LINES):
        lines.append(line)
        size += len(line)
        if size > SAMPLE_CHARACTERS:
            break
    named = SEPARATOR_LINE.fullmatch(lines[0]) if lines else None
    skipped = 1 if named else 0
    lines = lines[skipped:]
    if reading.delimiter is not None:
        delimiter = reading.delimiter
    elif named:
        delimiter = named[1]
    else:
        delimiter = "\t" if tabs and lines and "\t" in lines[0] else _find_delimiter(lines, wanted)
    quoted = reading.quoting != "none"
    notes: list[str] = []
    if reading.quoting == "auto":
        quoted, notes = find_quoting(file, reading.encoding, delimiter, skipped)
    sheet = Sheet(file, reading.encoding, delimiter, quoted, skipped, [], [], notes)
    _, first = next(sheet.records(), (1, []))
    return replace(sheet, first=first, sample=_sample(lines, delimiter, quoted)[1:])


def _find_delimiter(lines: Sequence[str], wanted: Sequence[str]) -> str:
    """Choose the delimiter of a header with the wanted columns, then of lines of equal length, then of most fields."""

    def fit(delimiter: str) -> tuple[bool, bool, int]:
        header, *others = _sample(lines, delimiter) or [[]]
        even = len(header) > 1 and all(len(record) == len(header) for record in others)
        return bool(wanted) and set(wanted) <= set(header), even, len(header)

    return max(DELIMITERS, key=fit)  # the first of equals


def _sample(lines: Sequence[str], delimiter: str, quoted: bool = True) -> list[list[str]]:
    """Cut lines at the start of a file into records; mistakes in them are found when the rows are read."""
    reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
    records: list[list[str]] = []
    line = 0
    with suppress(csv.Error):
        for record in reader:
            # The last one may go on behind the sample.
            if record and (not records or reader.line_num < len(lines) or reader.line_num == line + 1):
                records.append(record)
            line = reader.line_num
    return records


def looks_like_row(sheet: Sheet) -> bool | None:
    """Whether the first record is a row of the table rather than its header; None if that is unclear.

    A row has a value that comes again in its column, such as a label, beside a text of several words. A header that
    only happens to name a value (``tweet,spam``) is unclear.
    """
    others = [record for record in sheet.sample if len(record) == len(sheet.first)]
    numbers = [str(number) for number in range(len(sheet.first))]
    if sheet.first in others or not others or sheet.first in (numbers, ["", *numbers[:-1]]):  # the latter: of pandas
        return False
    columns = list(zip(sheet.first, zip(*others, strict=True), strict=True))
    often = 2 if len(others) >= 20 else 1
    if not any(cell.strip() and column.count(cell) >= often for cell, column in columns):
        return False
    return True if any(is_prose([cell]) and is_prose(column) for cell, column in columns) else None


def is_prose(cells: Sequence[str], words: int = 3) -> bool:
    """Whether most cells have several words."""
    return sum(len(cell.split()) >= words for cell in cells) * 2 > len(cells)


def require_columns(name: str, present: Sequence[str], wanted: Sequence[str], hint: str = "") -> None:
    """Refuse columns that a table lacks or has twice.

    Raises:
        GendistError: for the first.
    """
    for column in wanted:
        if column not in present:
            if not present:
                raise GendistError(f"{name}: empty file, expected column '{column}'")
            raise GendistError(f"{name}: no column '{column}' (has {', '.join(map(str, present))}){hint}")
        if list(present).count(column) > 1:
            raise GendistError(f"{name}: column '{column}' stands twice in the header ({', '.join(present)})")
