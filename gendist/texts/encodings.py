"""Text files of any encoding: decoded whole, and the encoding guessed where nobody knows it."""

from pathlib import Path

from gendist.errors import GendistError

BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
"""Marks that some programs put first."""


def decoded(path: Path, encoding: str = "utf-8") -> str:
    """Return a file's text without a byte-order mark; decoded whole, so that an error knows its byte.

    Raises:
        GendistError: if the file is in another encoding, or holds a NUL, as no text does.
    """
    content = path.read_bytes()
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeError as error:
        line = content[: getattr(error, "start", 0)].count(b"\n") + 1
        raise GendistError(f"{path}: not {encoding.upper()} near line {line}; {_hint(content, encoding)}") from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise GendistError(f"{path}, line {line}: holds a NUL character; {_hint(content, encoding)}")
    return text


def _hint(content: bytes, encoding: str) -> str:
    found = guess_encoding(content)
    return f"the dataset's key 'encoding' may be {found}" if found != encoding else "the file may be damaged"


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
