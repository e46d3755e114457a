"""Read texts in chunks from files larger than memory."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gendist.errors import GendistError
from gendist.predict.format_readers import TEXT_READERS, read_parquet_rows
from gendist.predict.standard_input import STDIN, open_text
from gendist.predict.text_source import FORMATS, TextSource, read_error

CHUNK_ROWS = 4096
"""Rows per chunk."""


class InputRow(NamedTuple):
    """A row of the input file."""

    number: int
    """Row number from 0."""
    text: str | None
    """None if the row has no text."""
    kept: Sequence[Any] = ()
    """Values of the columns copied to the output."""


@dataclass(frozen=True)
class TextStream:
    """The rows of an open file."""

    kept: list[str]
    """Names of the columns copied to the output."""
    rows: Iterator[InputRow]

    def chunks(self, size: int = CHUNK_ROWS) -> Iterator[list[InputRow]]:
        """Yield the rows in order, ``size`` at a time."""
        chunk: list[InputRow] = []
        for row in self.rows:
            chunk.append(row)
            if len(chunk) == size:
                yield chunk
                chunk = []
        if chunk:
            yield chunk


@contextmanager
def open_source(
    source: TextSource, size: int = CHUNK_ROWS, notify: Callable[[str], None] = lambda note: None
) -> Iterator[TextStream]:
    """Open a file and yield its rows.

    Text columns are stripped and joined as in training. A text is missing if all its columns are null (Parquet, JSON)
    or absent (JSON). An empty text is not missing.

    Args:
        source: the file and its options.
        size: rows per Parquet batch.
        notify: callback for notes to the user.

    Raises:
        GendistError: for an unknown format, a missing file or column, a broken row or a wrong encoding. Errors of a
            row are raised when the row is read.
    """
    kind = _resolve_format(source)
    if kind == "parquet":
        kept, rows = read_parquet_rows(source, size, notify)
        yield TextStream(kept, _validated(source, rows))
        return
    with ExitStack() as stack:
        try:
            guessed = source.format is None and kind == "txt"
            encoding = source.reading.encoding
            file, found = stack.enter_context(
                open_text(
                    source.path,
                    wanted=source.columns or source.training_columns,
                    encoding=encoding,
                    kind="" if guessed else kind,
                    reread=source.keep is None,
                )
            )
            if guessed and found != "txt":
                notify(
                    f"{source.name}: read as {found} because of its first line; use --format txt to read lines of text"
                )
            kept, rows = TEXT_READERS[found](source, file, found, notify)
        except OSError as error:
            raise read_error(source, error) from None
        yield TextStream(kept, _validated(source, rows))


def _validated(source: TextSource, rows: Iterator[tuple[str | None, Sequence[Any]]]) -> Iterator[InputRow]:
    try:
        for number, (text, kept) in enumerate(rows):
            where = f"{source.name}, row {number}"
            if text is not None and re.search("[\ud800-\udfff]", text):  # JSON can encode it
                raise GendistError(f"{where}: text contains an unpaired surrogate (\\ud800 to \\udfff)")
            if text is not None and "\0" in text:
                raise GendistError(f"{where}: text contains a NUL character; the file may be damaged")
            yield InputRow(number, text, kept)
    except OSError as error:
        raise read_error(source, error) from None


def _resolve_format(source: TextSource) -> str:
    if source.format is not None:
        if source.format not in FORMATS:
            raise GendistError(f"format '{source.format}' is unknown; accepted: {', '.join(FORMATS)}")
        return source.format
    if source.path == STDIN:
        return "txt"
    suffix = Path(source.path).suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise GendistError(
            f"{source.name}: unknown file type '.{suffix}'; accepted: {', '.join(FORMATS)}; or set --format"
        )
    return suffix
