"""Which synthetic rows a training keeps."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gendist.config.student_settings import RowFilters, Training
from gendist.errors import GendistError
from gendist.naming import parse_variant
from gendist.stages.synthetic.repeat_marks import is_copied, is_repeated, read_marks

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Selection:
    """Filters, and what they must leave."""

    keep: RowFilters
    least: int = 1
    """Fewer rows are an error."""
    key: str = "keep"
    """Where the filters stand in the config, for the log and the error."""


ALL = Selection(RowFilters())
"""Nothing is dropped."""


def selection_of(variant: str | None, training: Training) -> Selection:
    """Return what a run keeps; it must leave a batch."""
    name = parse_variant(variant).training if variant else ""
    return Selection(training.keep, training.batch_size, f"trainings.{name}.keep")


def kept_rows(selection: Selection, rows: np.ndarray, logits: np.ndarray, repeats: Path | None) -> np.ndarray:
    """Return the places of the synthetic rows that stay, ascending.

    Args:
        selection: the filters.
        rows: (rows,) int64 numbers in the pool, ascending.
        logits: (rows, classes) of the teacher.
        repeats: what the rows repeat (``quality.repeats``); read only if a filter asks for it.

    Raises:
        GendistError: if too few rows stay, naming the filter that left so few, or if the file of repeats is
            missing, damaged or of other rows.
    """
    keep = selection.keep
    places = np.arange(len(rows))
    if keep.reads_repeats:
        if repeats is None:
            raise GendistError(f"{selection.key}: no file of what the synthetic rows repeat was given")
        marks = read_marks(repeats, rows)
        if keep.drop_duplicates:
            places = _checked(selection, "drop_duplicates", places[~is_repeated(marks)[places]], len(rows))
        if keep.drop_copies:
            places = _checked(selection, "drop_copies", places[~is_copied(marks)[places]], len(rows))
    if keep.min_confidence is not None:
        sure = top_probabilities(logits[places]) >= keep.min_confidence
        places = _checked(selection, "min_confidence", places[sure], len(rows))
    if keep.balance:
        places = places[first_of_each(logits[places].argmax(axis=1), logits.shape[1])]
        _checked(selection, "balance", places, len(rows))
    return places


def top_probabilities(logits: np.ndarray) -> np.ndarray:
    """Return the probability of each row's most probable class, (rows,) float64, from logits (rows, classes)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(1 / np.exp(shifted).sum(axis=1))


def first_of_each(labels: np.ndarray, classes: int) -> np.ndarray:
    """Return which rows are among the first of their class, as many of each as the mean, rounded up: (rows,) bool."""
    most = -(-len(labels) // classes)
    chosen = np.zeros(len(labels), dtype=bool)
    for label in range(classes):
        chosen[np.flatnonzero(labels == label)[:most]] = True
    return chosen


def _checked(selection: Selection, name: str, places: np.ndarray, rows: int) -> np.ndarray:
    if len(places) < selection.least:
        raise GendistError(
            f"{selection.key}.{name}: leaves {len(places)} of {rows} synthetic rows, fewer than a batch"
            f" ({selection.least}); relax it, take more synthetic rows, or lower batch_size"
        )
    log.info("%s.%s: %d of %d synthetic rows are left", selection.key, name, len(places), rows)
    return places
