"""Escapes untrusted text (generated rows, labels, names) for Markdown, CSV and LaTeX.

A generated text can contain anything its training rows contained, so every output format escapes it.
"""

import re
import unicodedata

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Characters that make a spreadsheet evaluate a cell as a formula, with full-width forms (OWASP, CSV Injection)."""

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Bidirectional control characters, which can change the displayed order of a text."""

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


def collapse_whitespace(text: str) -> str:
    """Replace each run of white space and control characters by a space, and remove bidirectional controls."""
    kept = "".join(" " if unicodedata.category(c) == "Cc" else c for c in text if c not in BIDI)
    return " ".join(kept.split())


def markdown(text: str) -> str:
    """Escape text for a cell of a Markdown table: it cannot add markup, HTML, links or cells."""
    escaped = collapse_whitespace(text).translate(_MARKDOWN)
    # Markdown renderers turn bare URLs into links.
    escaped = escaped.replace("://", "&#58;//")
    return re.sub(r"(?i)\b(www)\.", r"\1&#46;", escaped)


def csv(text: str) -> str:
    """Prefix text that a spreadsheet would evaluate with a single quote; ``from_csv`` removes it."""
    return f"'{text}" if _is_formula(text) else text


def latex(text: str) -> str:
    """Escape text for LaTeX."""
    return collapse_whitespace(text).translate(_LATEX)


def from_csv(cell: str) -> str:
    """Remove the quote that ``csv`` added."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell[1:]) else cell


def _is_formula(text: str) -> bool:
    # Some programs strip spaces first. Quotes are stripped too, so that a text with its own leading quote round-trips.
    return text.startswith(FORMULA_STARTS) or text.lstrip(" '\u00a0\u3000").startswith(FORMULA_STARTS)


def shorten(text: str, characters: int) -> str:
    """Collapse white space, and truncate to at most ``characters``, including the ellipsis."""
    text = collapse_whitespace(text)
    return text if len(text) <= characters else text[: characters - 1].rstrip() + "…"
