"""Stratified train/test split that keeps equal texts on one side."""

from collections.abc import Sequence

import numpy as np

from gendist.cli.own_data.text_rows import TextRows
from gendist.stages.texts.similar_labels import normalise_text

TEST_SHARE = 0.2
"""Share of the rows in the test split ..."""
MAX_TEST_ROWS = 5000
"""... up to this number: more do not make the accuracy more certain and cost time."""
MIN_TEST_ROWS = 10
"""Test rows per class, if it has three times as many: scores of fewer are noise."""
MIN_TRAIN_ROWS = 2
"""Training rows per class: the minimum of a study."""


def group_equal_texts(rows: TextRows) -> list[list[int]]:
    """Group the indices of rows with equal normalised text, in order of appearance."""
    groups: dict[str, list[int]] = {}
    for index, text in enumerate(rows.texts):
        groups.setdefault(normalise_text(text), []).append(index)
    return list(groups.values())


def train_test_split(rows: TextRows, seed: int = 0) -> tuple[list[int], list[int]]:
    """Split rows, stratified by class.

    Rows with equal text stay together. If their labels conflict, they stay in the training split.

    Returns:
        Ascending indices of the training rows and of the test rows.
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
    n_test = max(round(share * count), min(MIN_TEST_ROWS, count // 3))
    return max(0, min(n_test, count - MIN_TRAIN_ROWS))


def _sample_groups(groups: Sequence[list[int]], n_test: int, rng: np.random.Generator) -> set[int]:
    sampled: set[int] = set()
    for index in rng.permutation(len(groups)):
        if len(sampled) + len(groups[index]) <= n_test:  # a large group may not fit
            sampled |= set(groups[index])
    return sampled
