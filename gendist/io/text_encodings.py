"""Text files in any encoding, decoded in blocks; detects the encoding by byte-order mark or content."""

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
"""Byte-order marks and their encodings."""
SIGNATURES = (
    (b"\x1f\x8b\x08", "a gzip file; decompress it"),
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet; extract it, or save the spreadsheet as CSV (UTF-8)"),
    (b"\xfd7zXZ\x00", "an xz file; decompress it"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file; decompress it"),
    (b"PAR1\x15", "a Parquet file; give it the suffix .parquet"),
)
"""First bytes of binary files that are mistaken for text files, and what to do with them."""
BLOCK_BYTES = 2**20
"""Bytes per read."""
DATASET_KEY, COMMAND_OPTION, ROWS_FILE = "the dataset's key '{}'", "--{}", "the file's {}"
"""Names of an option in messages: of a dataset in the config, of a command, and of a file without options."""


@dataclass(frozen=True)
class TextFile:
    """The bytes of a text file, and its name in messages."""

    name: str
    blocks: Callable[[], Iterator[bytes]]
    """Reads the file from the start; the first block has at least four bytes, unless the file is shorter."""
    option: str = DATASET_KEY
    """Template of option names in messages."""

    def lines(self, encoding: str) -> Iterator[str]:
        """Yield the lines with their line ends: a line feed, a carriage return, or both, as in Python's text files.

        Args:
            encoding: the encoding; a byte-order mark overrides it.

        Raises:
            GendistError: if the content is not valid in the encoding, contains NUL, or is of a binary format.
        """
        rest = ""
        for text in self._decode(encoding):
            found = io.StringIO(rest + text, newline="").readlines()
            # A "\r" at the end of a block may be the first half of an "\r\n".
            rest = found.pop() if found and not found[-1].endswith("\n") else ""
            yield from found
        yield from io.StringIO(rest, newline="")

    def _decode(self, encoding: str) -> Iterator[str]:
        decoder, line, bom = None, 1, None
        for block in chain(self.blocks(), [b""]):
            if decoder is None:
                if binary := next((kind for start, kind in SIGNATURES if block.startswith(start)), None):
                    raise GendistError(f"{self.name}: is {binary}")
                bom = bom_encoding(block)  # overrides the given encoding
                encoding = bom or encoding
                decoder = _decoder(encoding, self.name)
            try:
                text = decoder.decode(block, not block)
            except UnicodeError as error:
                content = getattr(error, "object", block)
                line += content[: getattr(error, "start", 0)].count(b"\n")
                found = f"not {encoding.upper()} near line {line}"
                raise GendistError(f"{self.name}: {found}; {self._hint(content, encoding, bom)}") from None
            if "\0" in text:
                line += text[: text.index("\0")].count("\n")
                raise GendistError(
                    f"{self.name}, line {line}: contains a NUL character; {self._hint(block, encoding, bom)}"
                )
            line += text.count("\n")
            yield text

    def _hint(self, content: bytes, encoding: str, bom: str | None) -> str:
        # Up to a line end, so that no character is split.
        found = guess_encoding(content[: content.rfind(b"\n") + 1] or content)
        is_other = bom is None and found != encoding
        return f"{self.option.format('encoding')} may be {found}" if is_other else "the file may be damaged"


def text_file(path: Path, option: str = DATASET_KEY) -> TextFile:
    """Return a text file on disk; reading it can raise ``OSError``."""

    def blocks() -> Iterator[bytes]:
        with Path(path).open("rb") as stream:
            yield from iter(lambda: stream.read(BLOCK_BYTES), b"")

    return TextFile(str(path), blocks, option)


def _decoder(encoding: str, name: str) -> codecs.IncrementalDecoder:
    try:
        "".encode(encoding)  # rejects codecs that do not encode text, such as hex
        return codecs.getincrementaldecoder("utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding)()
    except LookupError:
        raise GendistError(
            f"{name}: encoding '{encoding}' is unknown; accepted: utf-8, utf-16, cp1252, latin-1, …"
        ) from None


def bom_encoding(content: bytes) -> str | None:
    """Return the encoding that a byte-order mark declares, or None without one."""
    return next((name for mark, name in BOMS if content.startswith(mark)), None)


def guess_encoding(content: bytes) -> str:
    """Guess an encoding: by byte-order mark, UTF-16 by its zero bytes, UTF-8 if most of it is valid, cp1252 or Latin-1.

    cp1252 and Latin-1 are the common western European encodings; other single-byte encodings are indistinguishable.
    """
    if bom := bom_encoding(content):
        return bom
    sample = content[:4096]
    if sample.count(0) > len(sample) // 5:  # western text in UTF-16 has a zero in every other byte
        return "utf-16-le" if sample[1::2].count(0) >= sample[::2].count(0) else "utf-16-be"
    for name in ("utf-8", "cp1252"):
        try:
            content.decode(name)
        except UnicodeDecodeError:
            if name == "utf-8" and _is_damaged_utf8(content):
                return name  # reading reports the line
            continue
        return name
    return "latin-1"


def _is_damaged_utf8(content: bytes) -> bool:
    """Whether at least half of the characters beyond ASCII are valid UTF-8, which is rare in other encodings."""
    text = content.decode("utf-8", "replace")
    return len(text) - len(text.encode("ascii", "ignore")) >= 2 * text.count("\ufffd")
