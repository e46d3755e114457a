"""CSV and TSV reader that detects the delimiter, the quoting and the header.

Used by studies, ``gendist init`` and ``gendist predict``; imports the standard library only.
"""

import csv
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal, TextIO

from gendist.errors import GendistError
from gendist.io.csv_quoting import TOO_LONG, csv_format, detect_quoting
from gendist.io.text_encodings import TextFile

BOM = "\ufeff"
MAX_CELL_CHARACTERS = 10_000_000
"""Longer cells are taken as the result of an unclosed quote."""
DELIMITERS = (",", ";", "\t", "|")
"""Delimiters that are tried, in order of preference."""
SAMPLE_LINES, SAMPLE_CHARACTERS = 200, 2**18
"""Size of the sample from the start of a file in which the delimiter and the header are detected."""
HEADER_WORDS = 7
"""A first cell of this many words above texts may be a text, unless it is a question, as in surveys."""
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
"""Optional first line that declares the delimiter to Excel; it is not a row."""

Quoting = Literal["auto", "standard", "none"]


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading a text file; by default they are detected."""

    encoding: str = "utf-8"
    """Overridden by a byte-order mark."""
    delimiter: str | None = None
    """None detects it."""
    quoting: Quoting = "auto"
    """``standard``: quotes enclose fields. ``none``: quotes are literal. ``auto``: detect."""
    header: bool | None = True
    """Whether the first line contains the column names; None leaves the decision to the caller."""


@dataclass(frozen=True)
class DelimitedFile:
    """A delimited text file and its detected dialect."""

    file: TextFile
    encoding: str
    delimiter: str
    quoted: bool
    spaced: bool
    """Whether a space follows each delimiter, as in ``id, "a text", label``; it is no part of the fields."""
    skipped: int
    """Lines before the first record: 1 if the file starts with ``sep=;``, else 0."""
    first: list[str]
    """The first record: the header, if there is one."""
    sample: list[list[str]]
    """Records after the first, from the start of the file."""
    notes: list[str]
    """Notes about the file for the user."""

    def columns(self, header: bool) -> list[str]:
        """Return the column names; without a header, the column numbers from 1."""
        return self.first if header else [str(number) for number in range(1, len(self.first) + 1)]

    def rows(self, header: bool) -> Iterator[tuple[int, list[str]]]:
        """Yield the first line number and the fields of each row; blank lines are skipped.

        Raises:
            GendistError: if a row has a different number of fields than the first record or repeats the header, or
                quoting is broken.
        """
        records = self.records()
        if header:
            next(records, None)
        repeatable = header and len(self.first) > 1
        for line, record in records:
            if repeatable and record[-1] == self.first[-1] and [c.lstrip(BOM) for c in record] == self.first:
                raise GendistError(
                    f"{self.file.name}, line {line}: repeats the header, as in joined files; remove the line"
                )
            if len(record) != len(self.first):
                first = "the header" if header else "the first line"
                hint = "quote texts that contain the delimiter or a line break"
                if header and len(self.first) == 1:
                    hint += ", or remove a title above the header"
                if len(record) > len(self.first) and not any(record[len(self.first) :]):
                    hint = f"the line ends with a delimiter, add one to {first} or remove it"
                raise GendistError(
                    f"{self.file.name}, line {line}: {len(record)} fields, {first} has {len(self.first)}; {hint}"
                )
            yield line, record

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the first line number and the fields of each record, including the header.

        Raises:
            GendistError: if quoting is broken.
        """
        lines = self.file.lines(self.encoding)
        line = self.skipped + 1
        csv.field_size_limit(MAX_CELL_CHARACTERS)
        reader = csv.reader(
            islice(lines, self.skipped, None), strict=True, **csv_format(self.delimiter, self.quoted, self.spaced)
        )
        try:
            for record in reader:
                if record:
                    yield line, record
                line = self.skipped + reader.line_num + 1
        except csv.Error as error:
            if TOO_LONG in str(error):
                raise GendistError(
                    f"{self.file.name}, line {line}: a field has more than {MAX_CELL_CHARACTERS:,} characters"
                ) from None
            last = self.skipped + reader.line_num
            unclosed = "; its opening quote is never closed" if last > line else ""
            literal = f"; {self.file.option.format('quoting')} none reads quotes literally" if self.quoted else ""
            raise GendistError(f"{self.file.name}, line {line}: broken quoting ({error}){unclosed}{literal}") from None


def open_delimited(
    file: TextFile, options: ReadOptions, wanted: Sequence[str] = (), prefer_tabs: bool = False
) -> DelimitedFile:
    """Detect the dialect of a delimited file; with ``quoting="auto"``, this reads the whole file.

    Args:
        file: the file.
        options: known properties; the others are detected.
        wanted: columns expected in the header.
        prefer_tabs: use tabs as the delimiter if the first line contains one.

    Raises:
        GendistError: if the encoding is wrong, or the quoting is ambiguous.
    """
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    lines, size = [], 0
    for line in islice(file.lines(options.encoding), SAMPLE_LINES):
        lines.append(line)
        size += len(line)
        if size > SAMPLE_CHARACTERS:
            break
    declared = SEPARATOR_LINE.fullmatch(lines[0]) if lines else None
    skipped = 1 if declared else 0
    lines = lines[skipped:]
    if options.delimiter is not None:
        delimiter = options.delimiter
    elif declared:
        delimiter = declared[1]
    else:
        delimiter = "\t" if prefer_tabs and lines and "\t" in lines[0] else _detect_delimiter(lines, wanted)
    quoted, spaced = options.quoting != "none", _is_spaced(lines, delimiter)
    notes: list[str] = []
    if options.quoting == "auto":
        quoted, notes = detect_quoting(file, options.encoding, delimiter, spaced=spaced, skipped=skipped)
    table = DelimitedFile(
        file,
        options.encoding,
        delimiter,
        quoted=quoted,
        spaced=spaced,
        skipped=skipped,
        first=[],
        sample=[],
        notes=notes,
    )
    _, first = next(table.records(), (1, []))
    return replace(table, first=first, sample=_sample(lines, delimiter, quoted, spaced)[1:])


def _is_spaced(lines: Sequence[str], delimiter: str) -> bool:
    """Return whether one space follows each delimiter of the first line."""
    cells = next((line for line in lines if line.strip()), "").split(delimiter)[1:]
    return bool(cells) and all(re.fullmatch(r' ("[^"]*"|[^\s"][^"]*)\s*', cell) for cell in cells)


def _detect_delimiter(lines: Sequence[str], wanted: Sequence[str]) -> str:
    """Choose the delimiter by the wanted columns in the header, then by equal field counts, then by most fields."""

    def score(delimiter: str) -> tuple[bool, bool, int]:
        header, *others = _sample(lines, delimiter) or [[]]
        equal = len(header) > 1 and all(len(record) == len(header) for record in others)
        return bool(wanted) and set(wanted) <= set(header), equal, len(header)

    return max(DELIMITERS, key=score)  # ties: the first


def _sample(lines: Sequence[str], delimiter: str, quoted: bool = True, spaced: bool = False) -> list[list[str]]:
    """Parse lines from the start of a file; errors are left for reading the rows."""
    reader = csv.reader(lines, **csv_format(delimiter, quoted, spaced))
    records: list[list[str]] = []
    line = 0
    with suppress(csv.Error):
        for record in reader:
            # The last record may continue after the sample.
            if record and (not records or reader.line_num < len(lines) or reader.line_num == line + 1):
                records.append(record)
            line = reader.line_num
    return records


def first_record_is_data(table: DelimitedFile) -> bool | None:
    """Whether the first record is a row rather than a header; None if undecided.

    It is a row if it has a value that recurs in its column, such as a label, and a text of several words. Either alone
    is undecided, if the text is long: they may be column names (``tweet,spam``).
    """
    others = [record for record in table.sample if len(record) == len(table.first)]
    numbers = [str(number) for number in range(len(table.first))]
    if table.first in others or not others or table.first in (numbers, ["", *numbers[:-1]]):  # written by pandas
        return False
    columns = list(zip(table.first, zip(*others, strict=True), strict=True))
    min_count = 2 if len(others) >= 20 else 1
    if not any(cell.strip() and column.count(cell) >= min_count for cell, column in columns):
        is_text = any(is_prose([cell], HEADER_WORDS) and cell.strip()[-1] != "?" and is_prose(c) for cell, c in columns)
        return None if is_text and len(columns) > 1 else False
    return True if any(is_prose([cell]) and is_prose(column) for cell, column in columns) else None


def is_prose(cells: Sequence[str], words: int = 3) -> bool:
    """Whether most cells have at least ``words`` words."""
    return sum(len(cell.split()) >= words for cell in cells) * 2 > len(cells)


class _LineFeeds:
    """A text stream for ``csv.writer`` that ends lines with a line feed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, row: str) -> int:
        return self._stream.write(row.removesuffix("\r\n") + "\n")


def row_writer(stream: TextIO, delimiter: str = ",", *, quote_all: bool = False) -> Any:
    """Return a ``csv.writer`` that ends lines with a line feed, and quotes fields with a carriage return.

    The standard one does not before Python 3.13, and readers take the carriage return for a line end.

    Args:
        stream: where to write.
        delimiter: the delimiter.
        quote_all: quote all fields, so that the header proves to ``detect_quoting`` that quotes enclose fields.
    """
    rows = _LineFeeds(stream)
    if quote_all:
        return csv.writer(rows, delimiter=delimiter, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    return csv.writer(rows, delimiter=delimiter, lineterminator="\r\n")


def require_columns(name: str, present: Sequence[str], wanted: Sequence[str], hint: str = "") -> None:
    """Require columns to be present exactly once.

    Raises:
        GendistError: for the first missing or repeated column.
    """
    for column in wanted:
        if column not in present:
            if not present:
                raise GendistError(f"{name}: empty file, expected column '{column}'")
            shown = ", ".join(c if c.isprintable() and c == c.strip() else repr(c) for c in present)
            near = [c for c in present if _column_key(c) == _column_key(column)]
            also = f"; did you mean {near[0]!r}?" if near else ""
            raise GendistError(f"{name}: no column '{column}' (has {shown}){also}{hint}")
        if list(present).count(column) > 1:
            raise GendistError(f"{name}: column '{column}' appears twice in the header ({', '.join(present)})")


def _column_key(name: str) -> str:
    """Return a column name without case, spaces and invisible characters."""
    return "".join(c for c in name.casefold() if not c.isspace() and unicodedata.category(c) != "Cf")


def parse_delimiter(option: str | None) -> str | None:
    """Parse ``--delimiter``; a backslash followed by t, and ``tab``, are a tab.

    Raises:
        GendistError: if the delimiter is not one character.
    """
    if option in ("\\t", "tab"):
        return "\t"
    if option is not None and (len(option) != 1 or option in '"\r\n'):
        raise GendistError(f"--delimiter '{option}' is not accepted: expected one character, such as ; or \\t")
    return option
