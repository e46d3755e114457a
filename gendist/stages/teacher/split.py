"""The rows that the teacher's finetuning holds out to choose its number of epochs."""

import numpy as np
from sklearn.model_selection import StratifiedShuffleSplit

from gendist.config.teacher_settings import Teacher
from gendist.stages.texts.tables import Texts


def split(rows: Texts, settings: Teacher) -> tuple[Texts, Texts]:
    """Hold out a share of each class, at least one row; returns (kept, held out).

    Every class needs two rows, which ``prepare_texts`` requires.
    """
    classes = len(rows.label_names)
    size = max(round(settings.held_out * len(rows.texts)), classes)
    splitter = StratifiedShuffleSplit(1, test_size=size, random_state=settings.seed)
    kept, held_out = next(splitter.split(rows.labels, rows.labels))
    kept, held_out = _with_every_class(rows.labels, kept, held_out)
    return _take(rows, np.sort(kept)), _take(rows, np.sort(held_out))


def _with_every_class(labels: np.ndarray, kept: np.ndarray, held_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Swap rows until each part has one of every class: a small class may have got none of its proportional share."""
    parts = [list(kept), list(held_out)]
    for lacking, other in ((1, 0), (0, 1)):
        for label in np.setdiff1d(labels, labels[parts[lacking]]):
            counts = np.bincount(labels[parts[lacking]])
            # Both parts are drawn in random order: the last row of a class is as good as any.
            taken = next(row for row in reversed(parts[other]) if labels[row] == label)
            given = next(row for row in reversed(parts[lacking]) if labels[row] == counts.argmax())
            for part, old, new in ((parts[other], taken, given), (parts[lacking], given, taken)):
                part[part.index(old)] = new
    return np.array(parts[0]), np.array(parts[1])


def _take(rows: Texts, picks: np.ndarray) -> Texts:
    return Texts(rows.ids[picks], [rows.texts[i] for i in picks], rows.labels[picks], rows.label_names)
