"""Detects whether quotes in a delimited file enclose fields or are literal characters."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from gendist.errors import GendistError
from gendist.io.text_encodings import TextFile

MAX_SPANS_SHOWN = 3
"""Multi-line records listed in a message."""
TOO_LONG = "field larger"
"""Part of the message of ``csv`` for a field above its limit; it says nothing about the quotes."""
SAMPLE_QUOTED = 1000
"""Lines with quotes that are examined for enclosed fields."""


@dataclass
class _LineStatistics:
    """Passes lines to a CSV reader and collects statistics under the assumption that quotes are literal."""

    lines: Iterator[str]
    delimiter: str
    fields: int = 0
    """Fields in the first line."""
    equal: bool = True
    """Whether every line has as many fields as the first."""
    any_quote: bool = False
    quoted_header: bool = False
    n_quoted: int = 0
    """Lines with quotes after the header, up to ``SAMPLE_QUOTED`` ..."""
    n_enclosed: int = 0
    """... and those of them with a field that starts and ends with a quote."""
    last: str = ""

    def __iter__(self) -> Iterator[str]:
        for line in self.lines:
            if line.strip("\r\n"):
                fields = line.count(self.delimiter) + 1
                if not self.fields:
                    self.fields, self.quoted_header = fields, '"' in line
                elif '"' in line and self.n_quoted < SAMPLE_QUOTED:
                    cells = line.strip("\r\n").split(self.delimiter)
                    self.n_quoted += 1
                    self.n_enclosed += any(re.fullmatch(r' ?".*"', cell) for cell in cells)
                self.equal = self.equal and fields == self.fields
                self.any_quote = self.any_quote or '"' in line
            self.last = line
            yield line


@dataclass
class _RecordStatistics:
    """Statistics under the assumption that quotes enclose fields."""

    broken: str = ""
    """Where and why parsing fails; empty if it does not."""
    doubled: bool = False
    """Whether a quoted field contains doubled quotes, which only a CSV writer produces."""
    spans: list[tuple[int, int]] = field(default_factory=list)
    """First and last line of each multi-line record."""


def csv_format(delimiter: str, quoted: bool = True, spaced: bool = False) -> dict[str, Any]:
    """Return the arguments of ``csv.reader`` for a dialect."""
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    return {"delimiter": delimiter, "quoting": quoting, "skipinitialspace": spaced}


def detect_quoting(
    file: TextFile, encoding: str, delimiter: str, *, spaced: bool, skipped: int
) -> tuple[bool, list[str]]:
    """Detect whether quotes enclose fields; reads the whole file.

    They do, as the format defines, unless this joins lines into one record or fails to parse although every line has
    the header's number of fields with literal quotes: then quotes are literal, unless most of them enclose a field.

    Returns:
        Whether quotes enclose fields, and notes for the user.

    Raises:
        GendistError: if the quotes are ambiguous.
    """
    lines = _LineStatistics(islice(file.lines(encoding), skipped, None), delimiter)
    records = _read(lines, spaced, skipped)
    option = file.option.format("quoting")
    if not lines.any_quote or not (records.spans or records.broken):
        return True, []
    proven = lines.quoted_header or records.doubled or not lines.equal
    where = _format_spans(records.spans)
    if not proven and lines.fields > 1 and TOO_LONG not in records.broken:
        if 2 * lines.n_enclosed > lines.n_quoted:
            but = f"they may join {where}" if records.spans else records.broken
            raise GendistError(
                f"{file.name}: ambiguous quotes: most enclose a field, but {but}; double the quotes within a field, or "
                f"set {option}: none, which reads quotes literally"
            )
        joined = f"; as enclosing quotes, they would join {where}" if records.spans else ""
        note = f"quotes are read literally: every line then has {lines.fields} fields{joined}"
        return False, [f"{note} ({option}: standard reads them as enclosing fields)"]
    if not records.spans or records.broken:
        return True, []  # reading the rows reports the error
    if not proven:
        raise GendistError(
            f"{file.name}: ambiguous quotes: they may join {where} into one text each, or be literal; set {option}: "
            "standard or none"
        )
    count = len(records.spans)
    rows = "1 row spans" if count == 1 else f"{count:,} rows span"
    return True, [f"{rows} several lines within quotes ({where}); {option}: none reads quotes literally"]


def _read(lines: _LineStatistics, spaced: bool, skipped: int) -> _RecordStatistics:
    statistics = _RecordStatistics()
    stream = iter(lines)
    reader = csv.reader(stream, strict=True, **csv_format(lines.delimiter, spaced=spaced))
    fields = start = 0
    try:
        for record in reader:
            fields = fields or len(record)
            if len(record) not in (0, fields) and not statistics.broken:
                statistics.broken = f"line {skipped + start + 1} then has {len(record)} of {fields} fields"
            if reader.line_num > start + 1:
                statistics.spans.append((skipped + start + 1, skipped + reader.line_num))
            elif '""' in lines.last and not statistics.doubled:
                statistics.doubled = any('"' in cell and cell not in lines.last for cell in record)
            start = reader.line_num
    except csv.Error as error:
        statistics.broken = statistics.broken or f"line {skipped + start + 1} is broken then ({error})"
    for _ in stream:  # count the remaining lines
        pass
    return statistics


def _format_spans(spans: list[tuple[int, int]]) -> str:
    shown = ", ".join(f"{first}-{last}" for first, last in spans[:MAX_SPANS_SHOWN])
    return f"lines {shown}{', …' if len(spans) > MAX_SPANS_SHOWN else ''}"
