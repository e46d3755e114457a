"""A self-contained HTML page of generated rows.

Generated texts are untrusted: the template engine escapes every value, and the content security policy allows only the
script and the style of the page, by hash.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from gendist.analysis.quality.samples_page_template import PAGE, SCRIPT, STYLE
from gendist.io.escape import collapse_whitespace, shorten
from gendist.stages.synthetic.detokenize import detokenize

MAX_ROWS = 1000
"""Maximum number of rows on a page."""
LEAST_CONFIDENT_ROWS = 200
"""Number of least confident rows that are always shown."""
MARKED_ROWS = 200
"""Number of repeated rows that are always shown."""
MAX_TEXT_LENGTH = 2000
"""Characters; longer texts are truncated."""

MARKS = {
    "duplicate_of": "duplicate",
    "near_duplicate_of": "near duplicate",
    "copy_of": "copy",
    "near_copy_of": "near copy",
}

SampleRow = Mapping[str, Any]
"""A row of ``rows.parquet``."""


def samples_page(rows: Sequence[SampleRow], total: int, names: Mapping[str, str], label_names: Sequence[str]) -> str:
    """Return the page, least confident rows first.

    Args:
        rows: rows selected by ``select_page_rows``.
        total: number of rows of the pool.
        names: dataset, generator, sampling and teacher, for the heading.
        label_names: class names, in the order of the menu.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    shown = sorted(rows, key=lambda row: (row["confidence"], row["row"]))
    policy = f"default-src 'none'; script-src {_csp_hash(SCRIPT)}; style-src {_csp_hash(STYLE)}"
    return environment.from_string(PAGE).render(
        policy=Markup(policy + "; base-uri 'none'; form-action 'none'"),
        style=Markup(STYLE),
        script=Markup(SCRIPT),
        names={kind: collapse_whitespace(name) for kind, name in names.items()},
        classes=[collapse_whitespace(name) for name in label_names],
        total=total,
        marked=sum(bool(_marks(row)) for row in shown),
        conditional=any(row["asked"] is not None for row in shown),
        doubtful=LEAST_CONFIDENT_ROWS,
        most_marked=MARKED_ROWS,
        rows=[_page_row(row) for row in shown],
    )


def select_page_rows(confidence: np.ndarray, marked: np.ndarray, seed: int = 0, max_rows: int = MAX_ROWS) -> np.ndarray:
    """Select the rows of a page: the least confident, repeated ones, and a random sample of the rest.

    Args:
        confidence: probability of the predicted class, (rows,).
        marked: whether a row repeats another, (rows,) bool.
        seed: seed of the sampling.
        max_rows: maximum number of rows.

    Returns:
        Ascending indices, (min(rows, max_rows),).
    """
    rows = len(confidence)
    if rows <= max_rows:
        return np.arange(rows)
    least_confident = np.argsort(confidence, kind="stable")[:LEAST_CONFIDENT_ROWS]
    repeated = np.flatnonzero(marked)[:MARKED_ROWS]
    sampled = np.random.default_rng(seed).permutation(rows)[: max_rows + LEAST_CONFIDENT_ROWS + MARKED_ROWS]
    selected = dict.fromkeys([*least_confident.tolist(), *repeated.tolist(), *sampled.tolist()])
    return np.array(sorted(list(selected)[:max_rows]))


def _marks(row: SampleRow) -> list[tuple[str, int]]:
    return [(mark, row[column]) for column, mark in MARKS.items() if row[column] is not None]


def _page_row(row: SampleRow) -> dict[str, Any]:
    texts = {
        "text": shorten(detokenize(row["text"]), MAX_TEXT_LENGTH),
        "nearest_text": shorten(row["nearest_text"], MAX_TEXT_LENGTH),
    }
    labels = {
        name: None if row[name] is None else collapse_whitespace(row[name])
        for name in ("predicted", "asked", "nearest_label")
    }
    kinds = " ".join(mark.replace(" ", "-") for mark, _ in _marks(row))
    numbers = {name: row[name] for name in ("row", "confidence", "entropy", "n_words", "nearest_similarity")}
    return {**numbers, **texts, **labels, "marks": _marks(row), "kinds": kinds}


def _csp_hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
