"""Read and validate the labelled rows of a dataset.

The launcher runs the same checks before a study starts, so this module imports nothing heavy.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from gendist.config.dataset_settings import Dataset
from gendist.errors import GendistError
from gendist.stages.texts.raw_rows import RawRows, read_rows, read_split, reading_options
from gendist.stages.texts.similar_labels import describe_similar

MAX_LABEL_LENGTH = 200
"""Characters; a longer label is probably a text column."""
INVALID_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, line separators and unpaired surrogates."""


@dataclass(frozen=True)
class LabelledRows:
    """Texts and labels of one split."""

    source: RawRows
    texts: list[str]
    labels: list[int]
    """Indices into the class names."""


def read_labelled_rows(settings: Dataset) -> tuple[LabelledRows, LabelledRows, list[str]]:
    """Read and validate the training and test rows.

    Returns:
        Training rows, test rows and the class names in label order.

    Raises:
        GendistError: if a text or label is empty, a class has fewer rows than ``train_per_class``,
            a test label is missing from the training rows, or ``read_split`` fails.
    """
    train, test = read_split(settings, "train"), read_split(settings, "test")
    _require_merged_labels(settings, train, test)
    names = _class_names(settings, train)
    train_rows = LabelledRows(train, _validated_texts(settings, train), _label_indices(settings, train, names, "train"))
    _require_enough_rows(settings, train, train_rows.labels, names)
    return (
        train_rows,
        LabelledRows(test, _validated_texts(settings, test), _label_indices(settings, test, names, "test")),
        names,
    )


def read_unlabelled_rows(settings: Dataset) -> tuple[RawRows, list[str]]:
    """Read the unlabelled rows; returns the raw rows and their texts, which may be empty.

    Raises:
        GendistError: if the file cannot be read or a cell is not text.
    """
    key = " (key 'unlabelled' of the dataset)"
    source = read_rows(Path(str(settings.unlabelled)), settings.text, reading=reading_options(settings), key=key)
    return source, [join_text(source, index, settings.text, settings.separator) for index in range(len(source.numbers))]


def _location(source: RawRows, index: int) -> str:
    return f"{source.name}, {source.unit} {source.numbers[index]}"


def _validated_texts(settings: Dataset, source: RawRows) -> list[str]:
    if not source.numbers:
        raise GendistError(f"{source.name}: no rows")
    texts = []
    for index in range(len(source.numbers)):
        texts.append(join_text(source, index, settings.text, settings.separator))
        if not texts[-1]:
            raise GendistError(f"{_location(source, index)}: empty text (column {' and '.join(settings.text)})")
    return texts


def join_text(source: RawRows, index: int, columns: Sequence[str], separator: str = " ") -> str:
    """Return the text of a row: its stripped, non-empty columns joined by ``separator``.

    Raises:
        GendistError: if a cell is not text, or contains a NUL character or an unpaired surrogate.
    """
    parts = []
    for column in columns:
        value = source.columns[column][index]
        if value is not None and not isinstance(value, str):
            problem = f"column '{column}' contains {type(value).__name__}"
            raise GendistError(f"{_location(source, index)}: {problem}, expected text")
        parts.append((value or "").strip())
    text = separator.join(part for part in parts if part)
    if not text.isascii() and re.search("[\ud800-\udfff]", text):  # valid in JSON, not in UTF-8
        raise GendistError(f"{_location(source, index)}: text contains an unpaired surrogate (\\ud800 to \\udfff)")
    if "\0" in text:
        raise GendistError(f"{_location(source, index)}: text contains a NUL character; the file may be damaged")
    return text


def read_label(source: RawRows, row: int, column: str, merged: Mapping[str, str] | None = None) -> str:
    """Return the class name of a row; empty if the label is missing.

    Args:
        source: rows of a file.
        row: index of the row.
        column: label column.
        merged: class name of each label to rename.

    Raises:
        GendistError: if the label is neither a single-line name nor an integer.
    """
    value = source.columns[column][row]
    if reason := label_error(value):
        label = f"label '{str(value)[:40]}' (column '{column}')"
        raise GendistError(f"{_location(source, row)}: {label} {reason}")
    name = _label_text(value)
    return (merged or {}).get(name, name)


def label_error(value: object) -> str:
    """Return why a value is not a valid label, as the end of a sentence; empty if it is valid."""
    name = _label_text(value)
    fraction = isinstance(value, float | Decimal) and name != "" and value % 1 != 0
    if fraction or not isinstance(value, str | int | float | Decimal | None):
        return f"is of type {type(value).__name__}, expected a name or an integer"  # bytes, lists, dates
    if len(name) > MAX_LABEL_LENGTH or INVALID_CHARACTERS.search(name):
        return f"is invalid: expected one line of at most {MAX_LABEL_LENGTH} characters, no control characters"
    return ""


def _label_text(value: object) -> str:
    if value is None or value != value:  # pandas and Parquet store empty numeric cells as NaN
        return ""
    if isinstance(value, float | Decimal) and value % 1 == 0:
        value = int(value)  # and integers beside them as floats; databases export them as decimals
    return str(value).strip()


def _require_merged_labels(settings: Dataset, *sources: RawRows) -> None:
    """Reject keys of ``labels`` that match no row: they are probably misspelt."""
    if not settings.labels:
        return
    present = {
        _label_text(value) for source in sources for value in source.columns[settings.label] if not label_error(value)
    }
    for name in settings.labels:
        if name not in present:
            raise GendistError(
                f"{sources[0].name}: no row has label '{name}', which the dataset's key 'labels' renames"
            )


def _class_names(settings: Dataset, train: RawRows) -> list[str]:
    if settings.label_names is not None:
        return settings.label_names
    if train.label_names is not None:
        return train.label_names
    # Sort numeric names by value: class 2 before class 10.
    unique_names = {read_label(train, row, settings.label, settings.labels) for row in range(len(train.numbers))} - {""}
    numeric = all(re.fullmatch("-?[0-9]+", name) for name in unique_names)
    return sorted(unique_names, key=lambda name: (int(name), name)) if numeric else sorted(unique_names)


def _label_indices(settings: Dataset, source: RawRows, names: list[str], split: str) -> list[int]:
    index_of = {name: i for i, name in enumerate(names)}
    by_number = settings.label_names is not None or source.label_names is not None
    labels = []
    for row in range(len(source.numbers)):
        name = read_label(source, row, settings.label, settings.labels)
        if not name:
            raise GendistError(f"{_location(source, row)}: empty label (column '{settings.label}')")
        if name in index_of:
            labels.append(index_of[name])
        elif by_number and re.fullmatch("[0-9]{1,9}", name) and int(name) < len(names):
            labels.append(int(name))
        else:
            known = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
            why = "no training row has it" if split == "test" else "not among label_names"
            similar = describe_similar(name, names)
            hint = f"; {similar}, the dataset's key 'labels' can merge them" if similar else ""
            raise GendistError(f"{_location(source, row)}: label '{name}' is unknown ({why}; known: {known}){hint}")
    return labels


def _require_enough_rows(settings: Dataset, source: RawRows, labels: list[int], names: list[str]) -> None:
    """Require at least two classes and enough rows of each."""
    counts = Counter(labels)
    rows_per_class = settings.train_per_class
    if len(names) < 2:
        raise GendistError(f"{source.name}: only one class ({', '.join(names)}); a classifier needs two or more")
    for label, name in enumerate(names):
        if counts[label] < 2:
            raise GendistError(
                f"{source.name}: label '{name}' has {counts[label]} row(s); every class needs at least 2 "
                "(one may be held out)"
            )
        if rows_per_class is not None and counts[label] < rows_per_class:
            raise GendistError(
                f"{source.name}: label '{name}' has {counts[label]} rows, fewer than train_per_class = "
                f"{rows_per_class}; lower it, or set it to null to use all rows"
            )
