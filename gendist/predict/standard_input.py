"""Standard input and pipes: format detection without seeking, and spooling for formats that are read twice."""

import csv
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from gendist.errors import GendistError
from gendist.io.delimited_files import DELIMITERS, SEPARATOR_LINE
from gendist.io.text_encodings import BLOCK_BYTES, COMMAND_OPTION, TextFile, text_file

STDIN = "-"
READ_BYTES = 2**16
"""Bytes per read; a pipe returns what is available."""
MAX_BOM_BYTES = 4
"""Bytes of the longest byte-order mark."""


class _ReplayableStream:
    """A stream that cannot seek. Blocks read before ``stop_recording`` are replayed by the next ``blocks``."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._recorded: list[bytes] = []
        self._stopped = False

    def stop_recording(self) -> None:
        self._stopped = True

    def blocks(self) -> Iterator[bytes]:
        yield from list(self._recorded)
        while block := self._read_block():
            if not self._stopped:
                self._recorded.append(block)
            yield block

    def _read_block(self) -> bytes:
        block: bytes = self._stream.read1(READ_BYTES)
        while not self._recorded and block and len(block) < MAX_BOM_BYTES and (more := self._stream.read1(READ_BYTES)):
            block += more
        return block


@contextmanager
def open_text(
    path: str, *, wanted: Sequence[str], encoding: str, kind: str, reread: bool
) -> Iterator[tuple[TextFile, str]]:
    """Open a file, a pipe or standard input, and detect the format.

    Args:
        path: a file, or ``-`` for standard input.
        wanted: expected text columns.
        encoding: encoding of the text.
        kind: the format; empty to detect txt, csv or jsonl from the first line.
        reread: make the file readable twice whatever its format.

    Yields:
        The file, readable as often as its format needs, and its format.

    Raises:
        GendistError: if the first line may be a header or a text.
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
        stream.stop_recording()
        if reread or kind in ("csv", "tsv"):  # the dialect is detected from all lines
            file = stack.enter_context(_spool_to_file(file))
        yield file, kind


@contextmanager
def _spool_to_file(file: TextFile) -> Iterator[TextFile]:
    """Copy a stream to an unnamed temporary file."""
    with tempfile.TemporaryFile() as copy:
        for block in file.blocks():
            copy.write(block)

        def blocks() -> Iterator[bytes]:
            position = 0
            while True:
                copy.seek(position)
                block = copy.read(BLOCK_BYTES)
                if not block:
                    return
                position += len(block)
                yield block

        yield TextFile(file.name, blocks, file.option)


def _detect_format(file: TextFile, wanted: Sequence[str], encoding: str) -> str:
    """Detect the format from the first line that is not blank: csv or jsonl if it has the columns, else txt."""
    first = next((line for line in file.lines(encoding) if line.strip()), "")
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
            f"{file.name}: line 1 is '{line}', the name of the text column; use --format csv if it is a "
            "header, --format txt if it is a text"
        )
    return "csv" if any(set(wanted) <= set(_split_line(line, delimiter)) for delimiter in DELIMITERS) else "txt"


def _split_line(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []
