"""Length and variety of texts, so measured that texts of different numbers compare."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gendist.quality.overlap import similarities, words

QUANTILES = (0, 1, *range(5, 100, 5), 99, 100)
"""Percent of the rows."""
TOKENS = 10_000
"""Words on which variety is measured, or as many as the smallest group has: such measures change with their number."""
SAMPLE = 1000
"""Rows among which similarity is measured, or as many as the smallest group has: it rises with their number."""


def describe_texts(groups: dict[str, Sequence[str]], training: str, seed: int = 0) -> dict[str, dict[str, Any]]:
    r"""Measure groups of texts side by side; words are ``\w+`` in lower case.

    Args:
        groups: texts by the name of their group, none empty.
        training: the group whose words count as known.
        seed: of the order in which texts are drawn for measures on equal numbers.

    Returns:
        By group: ``rows``; quantiles of ``words`` and ``characters``; ``types``, different words of all rows;
        ``same_words``: measures on as many words of each group; ``same_rows``: measures on as many rows of each.
    """
    split = {name: [words(text) for text in texts] for name, texts in groups.items()}
    order = {name: np.random.default_rng(seed).permutation(len(texts)) for name, texts in groups.items()}
    tokens = min(TOKENS, *(sum(map(len, rows)) for rows in split.values()))
    sample = min(SAMPLE, *map(len, groups.values()))
    known = {word for row in split[training] for word in row}
    found = {}
    for name, texts in groups.items():
        drawn = first_words((split[name][i] for i in order[name]), tokens)
        found[name] = {
            "rows": len(texts),
            "words": quantiles([len(row) for row in split[name]]),
            "characters": quantiles([len(text) for text in texts]),
            "types": len({word for row in split[name] for word in row}),
            "same_words": variety(drawn, known),
            "same_rows": alikeness([texts[i] for i in sorted(order[name][:sample])]),
        }
    return found


def quantiles(values: Sequence[float] | np.ndarray, digits: int = 4) -> dict[str, Any]:
    """Return the mean and the values at ``QUANTILES`` percent."""
    at = np.percentile(values, QUANTILES)
    return {"mean": round(float(np.mean(values)), digits), "quantiles": [round(float(v), digits) for v in at]}


def first_words(rows: Iterable[list[str]], count: int) -> list[list[str]]:
    """Return the first rows up to ``count`` words in all, the last one cut."""
    taken = []
    for row in rows:
        if count <= 0:
            break
        taken.append(row[:count])
        count -= len(row)
    return taken


def variety(rows: Sequence[list[str]], known: set[str]) -> dict[str, Any]:
    """Measure the words of some rows.

    Returns:
        ``words`` in all; ``types``, the different ones; ``distinct_1`` to ``distinct_3``: different n-grams over all
        n-grams of the rows (Li et al. 2016; null without any); ``known_types``: share of the ``known`` words that
        occur; ``new_words``: share of the words that are not among the known.
    """
    every = [word for row in rows for word in row]
    new = sum(word not in known for word in every)
    return {
        "words": len(every),
        "types": len(set(every)),
        **{f"distinct_{n}": distinct(rows, n) for n in (1, 2, 3)},
        "known_types": _share(len(known & set(every)), len(known)),
        "new_words": _share(new, len(every)),
    }


def distinct(rows: Sequence[list[str]], n: int) -> float | None:
    """Return different n-grams over all n-grams (distinct-n); none goes from one row into the next."""
    grams = [tuple(row[i : i + n]) for row in rows for i in range(len(row) - n + 1)]
    return _share(len(set(grams)), len(grams))


def alikeness(texts: Sequence[str]) -> dict[str, Any]:
    """Measure how similar texts are to each other: cosines of TF-IDF vectors, fitted on them.

    Returns:
        ``rows`` compared; ``pairs``: mean over all pairs; ``nearest``: mean over the rows of the similarity with the
        most similar other row. Null with one row, or without words.
    """
    rows = len(texts)
    nothing = {"rows": rows, "pairs": None, "nearest": None}
    if rows < 2 or not any(len(word) > 1 for text in texts for word in words(text)):
        return nothing
    nearest, total, first = [], 0.0, 0
    for part in similarities(texts, texts, Path("texts")):
        own = np.arange(len(part))
        part[own, first + own] = 0
        first += len(part)
        nearest.append(part.max(axis=1))
        total += float(part.sum())
    mean = float(np.concatenate(nearest).mean())
    return nothing | {"pairs": round(total / (rows * (rows - 1)), 6), "nearest": round(mean, 6)}


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
