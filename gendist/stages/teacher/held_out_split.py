"""Stratified split of the real rows, to choose the number of epochs of a teacher."""

import numpy as np
from sklearn.model_selection import StratifiedShuffleSplit

from gendist.config.teacher_settings import Teacher
from gendist.stages.texts.text_tables import Texts


def split_held_out(rows: Texts, settings: Teacher) -> tuple[Texts, Texts]:
    """Hold out a share of each class, at least one row.

    Every class needs two rows; ``prepare_texts`` guarantees that.

    Returns:
        Training rows and held-out rows.
    """
    classes = len(rows.label_names)
    size = max(round(settings.held_out * len(rows.texts)), classes)
    splitter = StratifiedShuffleSplit(1, test_size=size, random_state=settings.seed)
    train, held_out = next(splitter.split(rows.labels, rows.labels))
    train, held_out = _ensure_every_class(rows.labels, train, held_out)
    return _select_rows(rows, np.sort(train)), _select_rows(rows, np.sort(held_out))


def _ensure_every_class(labels: np.ndarray, train: np.ndarray, held_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Swap rows until each part has every class; a stratified split may leave a small class out of one."""
    parts = [list(train), list(held_out)]
    for target, source in ((1, 0), (0, 1)):
        for label in np.setdiff1d(labels, labels[parts[target]]):
            counts = np.bincount(labels[parts[target]])
            # Both parts are shuffled, so the last row of a class is a random one.
            moved = next(row for row in reversed(parts[source]) if labels[row] == label)
            returned = next(row for row in reversed(parts[target]) if labels[row] == counts.argmax())
            for part, old, new in ((parts[source], moved, returned), (parts[target], returned, moved)):
                part[part.index(old)] = new
    return np.array(parts[0]), np.array(parts[1])


def _select_rows(rows: Texts, indices: np.ndarray) -> Texts:
    return Texts(rows.ids[indices], [rows.texts[i] for i in indices], rows.labels[indices], rows.label_names)
