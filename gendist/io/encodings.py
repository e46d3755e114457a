"""Text files of any encoding, decoded block by block; the encoding by its mark, or guessed where nobody knows it."""

import codecs
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from gendist.errors import GendistError

BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32"),  # before UTF-16, whose mark it begins with
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
"""Byte-order marks that some programs put first."""
BLOCK = 2**20
"""Bytes that are read at once."""
DATASET_KEY, COMMAND_OPTION, ROWS_FILE = "the dataset's key '{}'", "--{}", "the file's {}"
"""What messages call an option of a dataset's files, of files that a command is given, and of given rows, where it is
no option."""


@dataclass(frozen=True)
class TextFile:
    """The bytes of a text file, and what messages call it."""

    name: str
    blocks: Callable[[], Iterator[bytes]]
    """Reads from the start; the first block has four bytes or more, unless the file is shorter."""
    option: str = DATASET_KEY
    """Template of an option's name in messages."""

    def lines(self, encoding: str, newline: str = "\n") -> Iterator[str]:
        """Yield the lines with their ends; with a ``newline`` of ``""`` they also end at a carriage return.

        Raises:
            GendistError: another encoding, or a NUL, which no text has.
        """
        rest = ""
        for text in self._decoded(encoding):
            found = io.StringIO(rest + text, newline=newline).readlines()
            # A "\r" at the end of a block may be the first half of an "\r\n".
            rest = found.pop() if found and not found[-1].endswith("\n") else ""
            yield from found
        yield from io.StringIO(rest, newline=newline)

    def _decoded(self, encoding: str) -> Iterator[str]:
        decoder, line, marked = None, 1, None
        for block in chain(self.blocks(), [b""]):
            if decoder is None:
                marked = marked_encoding(block)  # outweighs what a file is said to be
                encoding = marked or encoding
                decoder = _decoder(encoding, self.name)
            try:
                text = decoder.decode(block, not block)
            except UnicodeError as error:
                content = getattr(error, "object", block)
                line += content[: getattr(error, "start", 0)].count(b"\n")
                found = f"not {encoding.upper()} near line {line}"
                raise GendistError(f"{self.name}: {found}; {self._hint(content, encoding, marked)}") from None
            if "\0" in text:
                line += text[: text.index("\0")].count("\n")
                raise GendistError(
                    f"{self.name}, line {line}: holds a NUL character; {self._hint(block, encoding, marked)}"
                )
            line += text.count("\n")
            yield text

    def _hint(self, content: bytes, encoding: str, marked: str | None) -> str:
        # Up to a line's end, where no character is cut in two.
        found = guess_encoding(content[: content.rfind(b"\n") + 1] or content)
        is_other = marked is None and found != encoding
        return f"{self.option.format('encoding')} may be {found}" if is_other else "the file may be damaged"


def text_file(path: Path, option: str = DATASET_KEY) -> TextFile:
    """Return a file of the disk; reading it may raise an ``OSError``."""

    def blocks() -> Iterator[bytes]:
        with Path(path).open("rb") as stream:
            yield from iter(lambda: stream.read(BLOCK), b"")

    return TextFile(str(path), blocks, option)


def _decoder(encoding: str, name: str) -> codecs.IncrementalDecoder:
    try:
        return codecs.getincrementaldecoder("utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding)()
    except LookupError:
        raise GendistError(
            f"{name}: encoding '{encoding}' is unknown; accepted: utf-8, utf-16, cp1252, latin-1, …"
        ) from None


def marked_encoding(content: bytes) -> str | None:
    """Return the encoding of which a text file has the byte-order mark."""
    return next((name for mark, name in BOMS if content.startswith(mark)), None)


def guess_encoding(content: bytes) -> str:
    """Guess the encoding of a text file: by its mark, UTF-16 by its zeros, UTF-8 if valid, else Windows or Latin-1.

    The last two are the usual ones of western Europe; other single-byte encodings cannot be told from them.
    """
    if marked := marked_encoding(content):
        return marked
    sample = content[:4096]
    if sample.count(0) > len(sample) // 5:  # western text in UTF-16 has a zero in every other byte
        return "utf-16-le" if sample[1::2].count(0) >= sample[::2].count(0) else "utf-16-be"
    for name in ("utf-8", "cp1252"):
        try:
            content.decode(name)
        except UnicodeDecodeError:
            continue
        return name
    return "latin-1"
