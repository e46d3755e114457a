"""How a file says that it is a page of ``write_page``."""

from pathlib import Path

MARK = b'<meta name="generator" content="gendist classifier page">'
HEAD_BYTES = 4096


def is_classifier_page(file: Path) -> bool:
    """Return whether a file is a classifier's page, and neither another file nor a notice."""
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return MARK in stream.read(HEAD_BYTES)
