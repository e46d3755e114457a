"""Escapes for text that nobody has vetted: generated rows, labels, names.

A generated text may hold anything that its training rows taught, so every table treats
it as data of the format that it is put into.
"""

import re
import unicodedata

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What makes a spreadsheet take a cell for a formula, full-width forms included (OWASP, CSV Injection)."""

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Marks that can show text in another order than it has."""

_MARKDOWN = str.maketrans(
    {
        **{mark: f"\\{mark}" for mark in "\\`*_[]|~$"},
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        "@": "&#64;",
    }
)
_LATEX = str.maketrans(
    {
        **{mark: f"\\{mark}" for mark in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "±": r"$\pm$",
    }
)


def one_line(text: str) -> str:
    """Put text on one line: white space becomes single spaces, control and direction marks go."""
    kept = "".join(" " if unicodedata.category(c) == "Cc" else c for c in text if c not in BIDI)
    return " ".join(kept.split())


def markdown(text: str) -> str:
    """Escape text for a cell of a Markdown table: no markup, HTML, link or further cell comes of it."""
    escaped = one_line(text).translate(_MARKDOWN)
    # Bare addresses would become links.
    escaped = escaped.replace("://", "&#58;//")
    return re.sub(r"(?i)\b(www)\.", r"\1&#46;", escaped)


def csv(text: str) -> str:
    """Put a single quote before text that a spreadsheet would take for a formula; ``from_csv`` takes it off again."""
    return f"'{text}" if _is_formula(text) else text


def latex(text: str) -> str:
    """Escape text for LaTeX."""
    return one_line(text).translate(_LATEX)


def from_csv(cell: str) -> str:
    """Take the quote off again that ``csv`` put before a text."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell[1:]) else cell


def _is_formula(text: str) -> bool:
    # Some programs trim the spaces first. Quotes count as spaces, so that a text with one of its own comes back whole.
    return text.startswith(FORMULA_STARTS) or text.lstrip(" '\u00a0\u3000").startswith(FORMULA_STARTS)


def shorten(text: str, characters: int) -> str:
    """Cut one-line text to so many characters, an ellipsis included."""
    text = one_line(text)
    return text if len(text) <= characters else text[: characters - 1].rstrip() + "…"
