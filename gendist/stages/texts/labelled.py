"""Rows that a study accepts: every text and label of both files checked, before anything is written.

Light: the plan of a study checks its files with it too.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gendist.config.dataset_settings import Dataset
from gendist.errors import GendistError
from gendist.stages.texts.sources import Source, read_file, read_source, reading_of

LONGEST_LABEL = 200
"""Characters; a longer label is a text in the wrong column."""
BROKEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, line ends and halves of surrogate pairs."""


@dataclass(frozen=True)
class Labelled:
    """The rows of one file."""

    source: Source
    texts: list[str]
    labels: list[int]
    """Places in the class names."""


def read_labelled(settings: Dataset) -> tuple[Labelled, Labelled, list[str]]:
    """Read and check the training and the test rows; returns both, and the class names in order.

    Raises:
        GendistError: empty text or label, a class with fewer rows than wanted, a test label
            that no training row has, or what ``read_source`` finds.
    """
    train, test = read_source(settings, "train"), read_source(settings, "test")
    _require_merged(settings, train, test)
    names = _class_names(settings, train)
    learnt = Labelled(train, _checked_texts(settings, train), _label_numbers(settings, train, names, "train"))
    _require_enough(settings, train, learnt.labels, names)
    return learnt, Labelled(test, _checked_texts(settings, test), _label_numbers(settings, test, names, "test")), names


def read_unlabelled_file(settings: Dataset) -> tuple[Source, list[str]]:
    """Read the rows without labels; returns them, and their texts, of which some may be empty.

    Raises:
        GendistError: if the file cannot be read, or a cell is no text.
    """
    key = " (key 'unlabelled' of the dataset)"
    source = read_file(Path(str(settings.unlabelled)), settings.text, reading_of(settings), key)
    return source, [text_of(source, index, settings.text, settings.separator) for index in range(len(source.rows))]


def _where(source: Source, index: int) -> str:
    return f"{source.name}, {source.unit} {source.rows[index]}"


def _checked_texts(settings: Dataset, source: Source) -> list[str]:
    if not source.rows:
        raise GendistError(f"{source.name}: no rows")
    texts = []
    for index in range(len(source.rows)):
        texts.append(text_of(source, index, settings.text, settings.separator))
        if not texts[-1]:
            raise GendistError(f"{_where(source, index)}: empty text (column {' and '.join(settings.text)})")
    return texts


def text_of(source: Source, index: int, columns: Sequence[str], separator: str = " ") -> str:
    """Return the text of a row: its columns without surrounding space, joined; empty if all of them are.

    Raises:
        GendistError: if a cell is no text, or holds what no text file can.
    """
    parts = []
    for column in columns:
        value = source.columns[column][index]
        if value is not None and not isinstance(value, str):
            shown = f"column '{column}' holds {type(value).__name__}"
            raise GendistError(f"{_where(source, index)}: {shown}, expected text")
        parts.append((value or "").strip())
    text = separator.join(part for part in parts if part)
    if not text.isascii() and re.search("[\ud800-\udfff]", text):  # JSON can spell it, no file can hold it
        raise GendistError(f"{_where(source, index)}: text holds half of a surrogate pair (\\ud800 to \\udfff)")
    if "\0" in text:
        raise GendistError(f"{_where(source, index)}: text holds a NUL character; the file may be damaged")
    return text


def label_of(source: Source, row: int, column: str, merged: Mapping[str, str] | None = None) -> str:
    """Return a label as the class name that it spells; empty if there is none.

    Args:
        source: a file's rows.
        row: place among them.
        column: of the labels.
        merged: class names by the labels that stand for them.

    Raises:
        GendistError: if it is neither a name on one line nor an integer.
    """
    value = source.columns[column][row]
    if fault := label_fault(value):
        shown = f"label '{str(value)[:40]}' (column '{column}')"
        raise GendistError(f"{_where(source, row)}: {shown} {fault}")
    name = _spelt(value)
    return (merged or {}).get(name, name)


def label_fault(value: object) -> str:
    """Return why a value can be no label, as the end of a sentence; empty if it can."""
    name = _spelt(value)
    fraction = isinstance(value, float) and name != "" and not value.is_integer()
    if fraction or not isinstance(value, str | int | float | None):
        return f"is of type {type(value).__name__}, expected a name or an integer"  # bytes, lists, dates
    if len(name) > LONGEST_LABEL or BROKEN.search(name):
        return f"is no name: expected one line of at most {LONGEST_LABEL} characters, none of them a control character"
    return ""


def _spelt(value: object) -> str:
    if value is None or value != value:  # NaN: what Parquet and pandas make of an empty cell among numbers
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # and they make floats of the others
    return str(value).strip()


def _require_merged(settings: Dataset, *sources: Source) -> None:
    """Refuse entries of ``labels`` that no row has: a slip of the keyboard would go unnoticed."""
    if not settings.labels:
        return
    present = {
        _spelt(value) for source in sources for value in source.columns[settings.label] if not label_fault(value)
    }
    for name in settings.labels:
        if name not in present:
            raise GendistError(
                f"{sources[0].name}: no row has label '{name}', which the dataset's key 'labels' renames"
            )


def _class_names(settings: Dataset, train: Source) -> list[str]:
    if settings.label_names is not None:
        return settings.label_names
    if train.label_names is not None:
        return train.label_names
    # Numbers sort as numbers, so that class 10 does not stand before class 2.
    found = {label_of(train, row, settings.label, settings.labels) for row in range(len(train.rows))} - {""}
    numeric = all(re.fullmatch("-?[0-9]+", name) for name in found)
    return sorted(found, key=lambda name: (int(name), name)) if numeric else sorted(found)


def _label_numbers(settings: Dataset, source: Source, names: list[str], split: str) -> list[int]:
    index_of = {name: i for i, name in enumerate(names)}
    by_number = settings.label_names is not None or source.label_names is not None
    labels = []
    for row in range(len(source.rows)):
        name = label_of(source, row, settings.label, settings.labels)
        if not name:
            raise GendistError(f"{_where(source, row)}: empty label (column '{settings.label}')")
        if name in index_of:
            labels.append(index_of[name])
        elif by_number and re.fullmatch("[0-9]{1,9}", name) and int(name) < len(names):
            labels.append(int(name))
        else:
            shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
            why = "no training row has it" if split == "test" else "not among label_names"
            raise GendistError(f"{_where(source, row)}: label '{name}' is unknown ({why}; known: {shown})")
    return labels


def _require_enough(settings: Dataset, source: Source, labels: list[int], names: list[str]) -> None:
    """Refuse fewer than two classes, and classes of fewer rows than are wanted."""
    counts = Counter(labels)
    wanted = settings.train_per_class
    if len(names) < 2:
        raise GendistError(f"{source.name}: only one class ({', '.join(names)}); a classifier needs two or more")
    for label, name in enumerate(names):
        if counts[label] < 2:
            raise GendistError(
                f"{source.name}: label '{name}' has {counts[label]} row(s); every class needs at least 2 "
                "(one may be held out)"
            )
        if wanted is not None and counts[label] < wanted:
            raise GendistError(
                f"{source.name}: label '{name}' has {counts[label]} rows, fewer than train_per_class = {wanted}; "
                "lower it, or set it to null to use all rows"
            )
