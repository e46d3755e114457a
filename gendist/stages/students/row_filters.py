"""Filters of synthetic rows."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gendist.config.student_settings import RowFilters, Training
from gendist.errors import GendistError
from gendist.naming import parse_variant
from gendist.stages.synthetic.repeats_table import is_copy, is_duplicate, read_repeats

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RowFilter:
    """Filters of a training, and the number of rows that must remain."""

    keep: RowFilters
    min_rows: int = 1
    """Minimum number of rows; fewer raise an error."""
    key: str = "keep"
    """Config key of the filters, for log and error messages."""


KEEP_ALL = RowFilter(RowFilters())
"""Keeps all rows."""


def variant_filter(variant: str | None, training: Training) -> RowFilter:
    """Return the filter of a run; at least one batch must remain."""
    name = parse_variant(variant).training if variant else ""
    return RowFilter(training.keep, training.batch_size, f"trainings.{name}.keep")


def filter_rows(row_filter: RowFilter, rows: np.ndarray, logits: np.ndarray, repeats: Path | None) -> np.ndarray:
    """Return the ascending indices of the synthetic rows to keep.

    Args:
        row_filter: filters to apply.
        rows: (rows,) int64 row numbers in the pool, ascending.
        logits: (rows, classes) teacher logits.
        repeats: file that marks repeated rows; read only if a filter needs it.

    Raises:
        GendistError: if too few rows remain after a filter, or ``repeats`` is missing, damaged or for other rows.
    """
    keep = row_filter.keep
    kept = np.arange(len(rows))
    if keep.reads_repeats:
        if repeats is None:
            raise GendistError(f"{row_filter.key}: no file that marks repeated rows was given")
        marks = read_repeats(repeats, rows)
        if keep.drop_duplicates:
            kept = _require_min_rows(row_filter, "drop_duplicates", kept[~is_duplicate(marks)[kept]], len(rows))
        if keep.drop_copies:
            kept = _require_min_rows(row_filter, "drop_copies", kept[~is_copy(marks)[kept]], len(rows))
    if keep.min_confidence is not None:
        confident = top_probabilities(logits[kept]) >= keep.min_confidence
        kept = _require_min_rows(row_filter, "min_confidence", kept[confident], len(rows))
    if keep.balance:
        kept = kept[first_rows_per_class(logits[kept].argmax(axis=1), logits.shape[1])]
        _require_min_rows(row_filter, "balance", kept, len(rows))
    return kept


def top_probabilities(logits: np.ndarray) -> np.ndarray:
    """Return the probability of each row's most probable class, (rows,) float64, from logits (rows, classes)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(1 / np.exp(shifted).sum(axis=1))


def first_rows_per_class(labels: np.ndarray, classes: int) -> np.ndarray:
    """Return a mask (rows,) of the first rows of each class, up to the mean class size, rounded up."""
    limit = -(-len(labels) // classes)
    mask = np.zeros(len(labels), dtype=bool)
    for label in range(classes):
        mask[np.flatnonzero(labels == label)[:limit]] = True
    return mask


def _require_min_rows(row_filter: RowFilter, name: str, kept: np.ndarray, rows: int) -> np.ndarray:
    if len(kept) < row_filter.min_rows:
        raise GendistError(
            f"{row_filter.key}.{name}: leaves {len(kept)} of {rows} synthetic rows, fewer than a batch"
            f" ({row_filter.min_rows}); relax it, use more synthetic rows, or lower batch_size"
        )
    log.info("%s.%s: %d of %d synthetic rows remain", row_filter.key, name, len(kept), rows)
    return kept
