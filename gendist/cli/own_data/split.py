"""A test part for rows that have none: by class, and without a text on both sides."""

from collections.abc import Sequence

import numpy as np

from gendist.cli.own_data.rows import Rows
from gendist.stages.texts.similar_labels import normalise_text

SHARE = 0.2
"""Share of the rows that become test rows ..."""
MOST = 5000
"""... up to about so many: more make the accuracy no surer and cost the study time."""
FEWEST = 10
"""Test rows of a class, where it has three times as many: fewer say little of it."""
KEPT = 2
"""Training rows that every class keeps: the study takes no class with fewer."""


def same_texts(rows: Rows) -> list[list[int]]:
    """Group the places of rows whose normalised texts are equal, in order of appearance."""
    groups: dict[str, list[int]] = {}
    for place, text in enumerate(rows.texts):
        groups.setdefault(normalise_text(text), []).append(place)
    return list(groups.values())


def split_rows(rows: Rows, seed: int = 0) -> tuple[list[int], list[int]]:
    """Draw test rows from every class.

    Rows of one text stay together; those whose labels contradict each other stay in the
    training part, because no answer to them would be right.

    Returns:
        Places of the training rows and of the test rows, ascending.
    """
    rng = np.random.default_rng(seed)
    groups: dict[str, list[list[int]]] = {}
    for group in same_texts(rows):
        names = {rows.labels[i] for i in group}
        if len(names) == 1:
            groups.setdefault(names.pop(), []).append(group)
    share = min(SHARE, MOST / max(1, len(rows)))
    counts = rows.counts
    test: set[int] = set()
    for name in sorted(groups):
        test |= _drawn(groups[name], _wanted(counts[name], share), rng)
    return [i for i in range(len(rows)) if i not in test], sorted(test)


def _wanted(count: int, share: float) -> int:
    wanted = max(round(share * count), min(FEWEST, count // 3))
    return max(0, min(wanted, count - KEPT))


def _drawn(groups: Sequence[list[int]], wanted: int, rng: np.random.Generator) -> set[int]:
    drawn: set[int] = set()
    for place in rng.permutation(len(groups)):
        if len(drawn) + len(groups[place]) <= wanted:  # a text that repeats often may not fit
            drawn |= set(groups[place])
    return drawn
