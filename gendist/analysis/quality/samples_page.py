"""Generated rows as one HTML page to browse: no files beside it, no network, and all text escaped.

The texts are a model's, so nothing in them is trusted: the template engine escapes every value, and the page's own
policy allows no script or style but the two below, by their hashes.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from gendist.analysis.quality.samples_page_template import PAGE, SCRIPT, STYLE
from gendist.io.escape import one_line, shorten
from gendist.stages.synthetic.readable import detokenize

MAX_ROWS = 1000
"""Rows on a page."""
LEAST_CONFIDENT_ROWS = 200
"""The least confident rows that are on it in any case."""
MARKED_ROWS = 200
"""Rows that repeat others, of which so many are on it in any case."""
MAX_TEXT_LENGTH = 2000
"""Characters of a text; longer ones are cut."""

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
        rows: those of the pool that ``select_page_rows`` chose.
        total: rows of the pool.
        names: dataset, generator, sampling and teacher, for the heading.
        label_names: classes, in the order of the menu.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    shown = sorted(rows, key=lambda row: (row["confidence"], row["row"]))
    policy = f"default-src 'none'; script-src {_csp_hash(SCRIPT)}; style-src {_csp_hash(STYLE)}"
    return environment.from_string(PAGE).render(
        policy=Markup(policy + "; base-uri 'none'; form-action 'none'"),
        style=Markup(STYLE),
        script=Markup(SCRIPT),
        names={kind: one_line(name) for kind, name in names.items()},
        classes=[one_line(name) for name in label_names],
        total=total,
        marked=sum(bool(_marks(row)) for row in shown),
        conditional=any(row["asked"] is not None for row in shown),
        doubtful=LEAST_CONFIDENT_ROWS,
        most_marked=MARKED_ROWS,
        rows=[_page_row(row) for row in shown],
    )


def select_page_rows(confidence: np.ndarray, marked: np.ndarray, seed: int = 0, most: int = MAX_ROWS) -> np.ndarray:
    """Return the places of all rows, or of the least confident, of those that repeat others (both up to a number),
    and of a random rest; ascending.

    Args:
        confidence: (rows,) probability of the predicted class, in the order of the pool.
        marked: (rows,) which rows repeat others.
        seed: of the draw, if there are more rows than fit.
        most: places to return.
    """
    rows = len(confidence)
    if rows <= most:
        return np.arange(rows)
    doubtful = np.argsort(confidence, kind="stable")[:LEAST_CONFIDENT_ROWS]
    repeated = np.flatnonzero(marked)[:MARKED_ROWS]
    drawn = np.random.default_rng(seed).permutation(rows)[: most + LEAST_CONFIDENT_ROWS + MARKED_ROWS]
    chosen = dict.fromkeys([*doubtful.tolist(), *repeated.tolist(), *drawn.tolist()])
    return np.array(sorted(list(chosen)[:most]))


def _marks(row: SampleRow) -> list[tuple[str, int]]:
    return [(mark, row[column]) for column, mark in MARKS.items() if row[column] is not None]


def _page_row(row: SampleRow) -> dict[str, Any]:
    texts = {
        "text": shorten(detokenize(row["text"]), MAX_TEXT_LENGTH),
        "nearest_text": shorten(row["nearest_text"], MAX_TEXT_LENGTH),
    }
    labels = {
        name: None if row[name] is None else one_line(row[name]) for name in ("predicted", "asked", "nearest_label")
    }
    kinds = " ".join(mark.replace(" ", "-") for mark, _ in _marks(row))
    numbers = {name: row[name] for name in ("row", "confidence", "entropy", "n_words", "nearest_similarity")}
    return {**numbers, **texts, **labels, "marks": _marks(row), "kinds": kinds}


def _csp_hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
