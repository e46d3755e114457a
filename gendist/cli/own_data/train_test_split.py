"""A test part for rows that have none: by class, and without a text on both sides."""

from collections.abc import Sequence

import numpy as np

from gendist.cli.own_data.text_rows import TextRows
from gendist.stages.texts.alike import normalised

TEST_SHARE = 0.2
"""Share of the rows that become test rows ..."""
MAX_TEST_ROWS = 5000
"""... up to about so many: more make the accuracy no surer and cost the study time."""
MIN_TEST_ROWS = 10
"""Test rows of a class, where it has three times as many: fewer say little of it."""
MIN_TRAIN_ROWS = 2
"""Training rows that every class keeps: the study takes no class with fewer."""


def group_equal_texts(rows: TextRows) -> list[list[int]]:
    """Group the places of rows whose normalised texts are equal, in order of appearance."""
    groups: dict[str, list[int]] = {}
    for place, text in enumerate(rows.texts):
        groups.setdefault(normalised(text), []).append(place)
    return list(groups.values())


def train_test_split(rows: TextRows, seed: int = 0) -> tuple[list[int], list[int]]:
    """Draw test rows from every class.

    Rows of one text stay together; those whose labels contradict each other stay in the
    training part, because no answer to them would be right.

    Returns:
        Places of the training rows and of the test rows, ascending.
    """
    rng = np.random.default_rng(seed)
    groups: dict[str, list[list[int]]] = {}
    for group in group_equal_texts(rows):
        names = {rows.labels[i] for i in group}
        if len(names) == 1:
            groups.setdefault(names.pop(), []).append(group)
    share = min(TEST_SHARE, MAX_TEST_ROWS / max(1, len(rows)))
    counts = rows.counts
    test: set[int] = set()
    for name in sorted(groups):
        test |= _sample_groups(groups[name], _n_test_rows(counts[name], share), rng)
    return [i for i in range(len(rows)) if i not in test], sorted(test)


def _n_test_rows(count: int, share: float) -> int:
    wanted = max(round(share * count), min(MIN_TEST_ROWS, count // 3))
    return max(0, min(wanted, count - MIN_TRAIN_ROWS))


def _sample_groups(groups: Sequence[list[int]], wanted: int, rng: np.random.Generator) -> set[int]:
    drawn: set[int] = set()
    for place in rng.permutation(len(groups)):
        if len(drawn) + len(groups[place]) <= wanted:  # a text that repeats often may not fit
            drawn |= set(groups[place])
    return drawn
