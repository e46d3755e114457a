"""Checks the texts and labels given to ``Classifier``. Errors name the row, from 0, and the reason."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

from gendist.stages.texts.labelled_rows import label_error

MIN_CLASS_ROWS = 2
"""Rows per class: the minimum of a study."""
LABEL_TYPES = {str: "str", bool: "bool", int: "int", float: "float"}
"""Accepted types of labels; NumPy's scalars count as Python's."""


@dataclass(frozen=True)
class Labels:
    """Labels of a set of texts."""

    classes: np.ndarray
    """Distinct labels, sorted, of the labels' own type, (classes,)."""
    class_names: list[str]
    """Name of each class in the study."""
    names: list[str]
    """Class name of each row."""


def require_texts(texts: Any, what: str = "text") -> list[str]:
    """Return texts from a list, a pandas Series, an array (rows,) or a column (rows, 1).

    Args:
        texts: the texts.
        what: name of a row, for messages.

    Raises:
        ValueError: if it is one string, has another shape, or a row is not a text.
    """
    if isinstance(texts, str):
        raise ValueError(f"expected a sequence of {what}s, got one string; write [text]")
    values = _as_column(texts, what)
    for row, value in enumerate(values):
        if _is_missing(value):
            raise ValueError(f"{what} {row} is missing ({value})")
        if not isinstance(value, str):
            raise ValueError(f"{what} {row} is of type {type(value).__name__}, expected str")
        if "\0" in value or re.search("[\ud800-\udfff]", value):
            raise ValueError(f"{what} {row} has a NUL character or an unpaired surrogate; the data may be damaged")
    return values


def require_filled_texts(texts: Any, what: str = "text") -> list[str]:
    """Return training or test texts, of which none may be blank; see ``require_texts``.

    Raises:
        ValueError: also if a text is blank.
    """
    values = require_texts(texts, what)
    for row, value in enumerate(values):
        if not value.strip():
            raise ValueError(f"{what} {row} is empty")
    return values


def require_labels(labels: Any, rows: int) -> Labels:
    """Check the labels of the training texts.

    Args:
        labels: strings, integers or booleans, (rows,); a list, an array or a pandas Series.
        rows: number of texts.

    Raises:
        ValueError: if their number differs, a label is missing or no class, or a class has too few rows.
    """
    values = _label_values(labels, rows, "label")
    array = np.asarray(labels).ravel() if hasattr(labels, "dtype") else np.array(values)
    array = np.array(values) if array.dtype == object else array
    check_classification_targets(array)
    classes, codes = np.unique(array, return_inverse=True)
    class_names = [str(value).strip() for value in classes.tolist()]
    for name in class_names:
        if reason := label_error(name):
            raise ValueError(f"label '{name[:40]}' {reason}")
    if len(set(class_names)) < len(class_names):
        twice = next(name for name in class_names if class_names.count(name) > 1)
        raise ValueError(f"two classes have the name '{twice}'; they differ in spaces only")
    if len(classes) < 2:
        raise ValueError(f"only one class ({class_names[0]}); a classifier needs two or more")
    counts = Counter(codes.tolist())
    for code, name in enumerate(class_names):
        if counts[code] < MIN_CLASS_ROWS:
            row = codes.tolist().index(code)
            raise ValueError(
                f"class '{name}' has {counts[code]} row (row {row}); every class needs at least {MIN_CLASS_ROWS}"
            )
    return Labels(classes, class_names, [class_names[code] for code in codes])


def require_known_labels(labels: Any, rows: int, known: Labels) -> list[str]:
    """Return the class names of the test rows.

    Raises:
        ValueError: if their number differs, or a label is not among those of the training rows.
    """
    values = _label_values(labels, rows, "test label")
    name_of = dict(zip(known.classes.tolist(), known.class_names, strict=True))
    for row, value in enumerate(values):
        if value not in name_of:
            raise ValueError(f"test label {row} ({value!r}) has no training row; known: {', '.join(known.class_names)}")
    return [name_of[value] for value in values]


def _label_values(labels: Any, rows: int, what: str) -> list[Any]:
    if isinstance(labels, str):
        raise ValueError(f"expected a sequence of {what}s, got one string")
    values = [value.item() if isinstance(value, np.generic) else value for value in _as_column(labels, what)]
    if len(values) != rows:
        raise ValueError(f"{rows} texts, but {len(values)} {what}s")
    for row, value in enumerate(values):
        if _is_missing(value) or (isinstance(value, str) and not value.strip()):
            raise ValueError(f"{what} {row} is missing ({value!r})")
        if type(value) not in LABEL_TYPES:
            raise ValueError(
                f"{what} {row} is of type {type(value).__name__}, expected {', '.join(LABEL_TYPES.values())}"
            )
        if type(value) is not type(values[0]):
            first = LABEL_TYPES[type(values[0])]
            raise ValueError(f"{what} {row} is of type {type(value).__name__}, but {what} 0 is of type {first}")
    return values


def _as_column(values: Any, what: str) -> list[Any]:
    array = values if isinstance(values, Sequence) else np.asarray(values, dtype=object)
    if isinstance(array, np.ndarray):
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1:
            raise ValueError(f"expected {what}s of shape (rows,) or (rows, 1), got {array.shape}")
    return [value.item() if isinstance(value, np.str_) else value for value in array]


def _is_missing(value: Any) -> bool:
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    )
