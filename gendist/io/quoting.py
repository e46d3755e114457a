"""Whether quotes in a delimited file are quoting or letters, by the evidence of its lines."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from gendist.errors import GendistError
from gendist.io.encodings import TextFile

SHOWN = 3
"""Multi-line fields whose lines a message names."""


@dataclass
class _Lines:
    """Lines on their way to a CSV reader, and what they are when every delimiter in them counts."""

    lines: Iterator[str]
    delimiter: str
    fields: int = 0
    """Fields of the first line."""
    even: bool = True
    """Whether all have so many."""
    any_quote: bool = False
    quoted_header: bool = False
    last: str = ""

    def __iter__(self) -> Iterator[str]:
        for line in self.lines:
            if line.strip("\r\n"):
                fields = line.count(self.delimiter) + 1
                if not self.fields:
                    self.fields, self.quoted_header = fields, '"' in line
                self.even = self.even and fields == self.fields
                self.any_quote = self.any_quote or '"' in line
            self.last = line
            yield line


@dataclass
class _Records:
    """What a file's records are if quotes are quoting."""

    broken: bool = False
    """Whether it cannot be read so."""
    doubled: bool = False
    """Whether a quoted field holds doubled quotes, which nothing but quoting writes."""
    spans: list[tuple[int, int]] = field(default_factory=list)
    """First and last lines of the records that run over several."""


def find_quoting(file: TextFile, encoding: str, delimiter: str, skipped: int) -> tuple[bool, list[str]]:
    """Decide whether a quote at the start of a field begins a quoted one; reads the whole file.

    Quotes are quoting, as the format has it, unless that joins lines to one record, or fails, in a file whose lines
    all have the header's number of fields as they stand: then they are letters.

    Returns:
        Whether quotes are quoting, and what the user should know of it.

    Raises:
        GendistError: if a file of one column can be read either way.
    """
    lines = _Lines(islice(file.lines(encoding, ""), skipped, None), delimiter)
    records = _read(lines, skipped)
    option = file.option.format("quoting")
    if not lines.any_quote or not (records.spans or records.broken):
        return True, []
    proven = lines.quoted_header or records.doubled or not lines.even
    where = _where(records.spans)
    if not proven and lines.fields > 1:
        joined = f"; as quoting, they would join {where}" if records.spans else ""
        note = f"quotes are taken for letters, since every line has {lines.fields} fields as it stands{joined}"
        return False, [f"{note} ({option}: standard reads them as quoting)"]
    if not records.spans or records.broken:
        return True, []  # reading the rows tells what is broken
    if not proven:
        raise GendistError(
            f"{file.name}: quotes may join {where} to one text each, or be letters; say which with {option}: "
            "standard or none"
        )
    count = len(records.spans)
    fields = "1 row runs" if count == 1 else f"{count:,} rows run"
    return True, [f"{fields} over several lines within quotes ({where}); {option}: none takes quotes for letters"]


def _read(lines: _Lines, skipped: int) -> _Records:
    found = _Records()
    passing = iter(lines)
    reader = csv.reader(passing, delimiter=lines.delimiter, strict=True)
    fields = start = 0
    try:
        for record in reader:
            fields = fields or len(record)
            found.broken = found.broken or len(record) not in (0, fields)
            if reader.line_num > start + 1:
                found.spans.append((skipped + start + 1, skipped + reader.line_num))
            elif '""' in lines.last and not found.doubled:
                found.doubled = any('"' in cell and cell not in lines.last for cell in record)
            start = reader.line_num
    except csv.Error:
        found.broken = True
    for _ in passing:  # the rest of the lines count as well
        pass
    return found


def _where(spans: list[tuple[int, int]]) -> str:
    shown = ", ".join(f"{first}-{last}" for first, last in spans[:SHOWN])
    return f"lines {shown}{', …' if len(spans) > SHOWN else ''}"
