"""Text files of any encoding: decoded whole, and the encoding guessed where nobody knows it."""

from pathlib import Path

from gendist.errors import GendistError

BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
"""Marks that some programs put first."""


def decoded(path: Path, encoding: str = "utf-8") -> str:
    """Return a file's text without a byte-order mark; decoded whole, so that an error knows its byte.

    Raises:
        GendistError: if the file is in another encoding.
    """
    content = path.read_bytes()
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        name = encoding.upper()
        found = guess_encoding(content)
        hint = f"the dataset's key 'encoding' may be {found}" if found != encoding else "the file may be damaged"
        raise GendistError(f"{path}: not {name} near line {line}; {hint}") from None


def guess_encoding(content: bytes) -> str:
    """Guess the encoding of a text file: by its mark, UTF-16 by its zeros, UTF-8 if valid, else Windows or Latin-1.

    The last two are the usual ones of western Europe; other single-byte encodings cannot be told from them.
    """
    for mark, name in BOMS:
        if content.startswith(mark):
            return name
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
