"""Marker in the HTML head by which pages of ``write_page`` are recognised."""

from pathlib import Path

MARK = b'<meta name="generator" content="gendist classifier page">'
HEAD_BYTES = 4096


def is_classifier_page(file: Path) -> bool:
    """Return whether a file is a page with a classifier, not another file or the notice of a missing one."""
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return MARK in stream.read(HEAD_BYTES)
