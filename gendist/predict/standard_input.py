"""The standard input, and pipes: looked at before they are read, and kept where they are read twice."""

import csv
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from gendist.errors import GendistError
from gendist.io.delimited import DELIMITERS, SEPARATOR_LINE
from gendist.io.encodings import BLOCK, COMMAND_OPTION, TextFile, text_file

STDIN = "-"
READ_BYTES = 2**16
"""Bytes at most that a pipe is waited for; what is there comes at once."""
MAX_BOM_BYTES = 4
"""Bytes of a byte-order mark."""


class _ReplayableStream:
    """What can be read once. Blocks that are read before ``settle`` are read again after it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._seen: list[bytes] = []
        self._settled = False

    def settle(self) -> None:
        self._settled = True

    def blocks(self) -> Iterator[bytes]:
        yield from list(self._seen)
        while block := self._block():
            if not self._settled:
                self._seen.append(block)
            yield block

    def _block(self) -> bytes:
        block: bytes = self._stream.read1(READ_BYTES)
        while not self._seen and block and len(block) < MAX_BOM_BYTES and (more := self._stream.read1(READ_BYTES)):
            block += more
        return block


@contextmanager
def open_text(
    path: str, wanted: Sequence[str], encoding: str, kind: str, twice: bool
) -> Iterator[tuple[TextFile, str]]:
    """Open a file, a pipe or the standard input, and find out what the latter holds.

    Args:
        path: a file, or ``-`` for the standard input.
        wanted: columns of the texts.
        encoding: of the text.
        kind: its format; empty leaves lines, a table and JSON to the first line.
        twice: whether it is read twice whatever its format.

    Returns:
        The file, which can be read as often as its format needs, and its format.

    Raises:
        GendistError: if the first line may be a header as well as a text.
    """
    file_path = Path(path)
    with ExitStack() as stack:
        if path != STDIN and (file_path.is_file() or file_path.is_dir() or not file_path.exists()):
            file = text_file(file_path, COMMAND_OPTION)
            yield file, kind or _detect_format(file, wanted, encoding)
            return
        stream = _ReplayableStream(sys.stdin.buffer if path == STDIN else stack.enter_context(file_path.open("rb")))
        file = TextFile("standard input" if path == STDIN else path, stream.blocks, COMMAND_OPTION)
        kind = kind or _detect_format(file, wanted, encoding)
        stream.settle()
        if twice or kind in ("csv", "tsv"):  # whose dialect is judged by all lines
            file = stack.enter_context(_spool_to_file(file))
        yield file, kind


@contextmanager
def _spool_to_file(file: TextFile) -> Iterator[TextFile]:
    """Copy a stream to a file without a name."""
    with tempfile.TemporaryFile() as copy:
        for block in file.blocks():
            copy.write(block)

        def blocks() -> Iterator[bytes]:
            place = 0
            while True:
                copy.seek(place)
                block = copy.read(BLOCK)
                if not block:
                    return
                place += len(block)
                yield block

        yield TextFile(file.name, blocks, file.option)


def _detect_format(file: TextFile, wanted: Sequence[str], encoding: str) -> str:
    """Return the format of what should be lines of text, by the first one: txt, or csv or jsonl with the columns."""
    first = next(file.lines(encoding), "")
    line = first.strip()
    if line.startswith("{"):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            return "txt"
        return "jsonl" if isinstance(record, dict) and set(wanted) <= record.keys() else "txt"
    if SEPARATOR_LINE.fullmatch(first):
        return "csv"
    if [line] == list(wanted):
        raise GendistError(
            f"{file.name}: line 1 is '{line}', the name of the text column; --format csv takes it for a "
            "header, --format txt for a text"
        )
    return "csv" if any(set(wanted) <= set(_split_line(line, delimiter)) for delimiter in DELIMITERS) else "txt"


def _split_line(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []
