"""Validate rows, map labels, sample the training rows and write both Parquet files."""

import logging
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from gendist.artifacts import Provenance, write_parquet
from gendist.errors import GendistError
from gendist.texts.settings import Dataset
from gendist.texts.sources import Source, read_source

log = logging.getLogger(__name__)

LONGEST_LABEL = 200
"""Characters; a longer label is a text in the wrong column."""
BROKEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, line ends and halves of surrogate pairs."""


def prepare_texts(settings: Dataset, train_target: Path, test_target: Path) -> None:
    """Write ``texts/train.parquet`` and ``texts/test.parquet``: id, text, label.

    The id is the row's place in its source, from 0. Class names (``label_names``) stand in
    the files' metadata; names are ordered as the settings or the source give them, else sorted.
    Both files are checked before either is written.

    Raises:
        GendistError: empty text or label, a class with fewer rows than wanted, a test label
            that no training row has, or what ``read_source`` finds.
    """
    train, test = read_source(settings, "train"), read_source(settings, "test")
    names = _class_names(settings, train)
    train_texts, train_labels = _checked_texts(settings, train), _labels(settings, train, names, "train")
    picks = _sample(settings, train, train_labels, names)
    test_texts, test_labels = _checked_texts(settings, test), _labels(settings, test, names, "test")
    _warn_of_leaks([train_texts[i] for i in picks], test_texts, train.name, test.name)
    used = settings.model_dump(mode="json", exclude={"synthetic", "unlabelled", "unlabelled_rows"})
    for target, source, chosen, texts, labels in (
        (train_target, train, picks, train_texts, train_labels),
        (test_target, test, np.arange(len(test_texts)), test_texts, test_labels),
    ):
        table = pa.table(
            {
                "id": pa.array(chosen, pa.int64()),
                "text": pa.array([texts[i] for i in chosen], pa.string()),
                "label": pa.array(labels[chosen], pa.int32()),
            }
        )
        provenance = Provenance("texts", {"source": source.digest}, used, settings.sample_seed)
        write_parquet(target, table, provenance, {"label_names": names})
        log.info("%s: %d rows in %d classes", target, table.num_rows, len(names))


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


def label_of(source: Source, row: int, column: str) -> str:
    """Return a label as the class name that it spells; empty if there is none.

    Raises:
        GendistError: if it is neither a name on one line nor an integer.
    """
    value = source.columns[column][row]
    if value is None or value != value:  # NaN: what Parquet and pandas make of an empty cell among numbers
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # and they make floats of the others
    if not isinstance(value, str | int):  # bytes, lists, dates
        shown = f"label '{value}' (column '{column}') is of type {type(value).__name__}"
        raise GendistError(f"{_where(source, row)}: {shown}, expected a name or an integer")
    name = str(value).strip()
    if len(name) > LONGEST_LABEL or BROKEN.search(name):
        raise GendistError(
            f"{_where(source, row)}: label '{name[:40]}' (column '{column}') is no name: expected one line of "
            f"at most {LONGEST_LABEL} characters, none of them a control character"
        )
    return name


def _class_names(settings: Dataset, train: Source) -> list[str]:
    if settings.label_names is not None:
        return settings.label_names
    if train.label_names is not None:
        return train.label_names
    # Numbers sort as numbers, so that class 10 does not stand before class 2.
    found = {label_of(train, row, settings.label) for row in range(len(train.rows))} - {""}
    numeric = all(re.fullmatch("-?[0-9]+", name) for name in found)
    return sorted(found, key=lambda name: (int(name), name)) if numeric else sorted(found)


def _labels(settings: Dataset, source: Source, names: list[str], split: str) -> np.ndarray:
    index_of = {name: i for i, name in enumerate(names)}
    by_number = settings.label_names is not None or source.label_names is not None
    labels = np.empty(len(source.rows), np.int32)
    for row in range(len(source.rows)):
        name = label_of(source, row, settings.label)
        if not name:
            raise GendistError(f"{_where(source, row)}: empty label (column '{settings.label}')")
        if name in index_of:
            labels[row] = index_of[name]
        elif by_number and re.fullmatch("[0-9]{1,9}", name) and int(name) < len(names):
            labels[row] = int(name)
        else:
            shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
            why = "no training row has it" if split == "test" else "not among label_names"
            raise GendistError(f"{_where(source, row)}: label '{name}' is unknown ({why}; known: {shown})")
    return labels


def _sample(settings: Dataset, source: Source, labels: np.ndarray, names: list[str]) -> np.ndarray:
    """Draw ``train_per_class`` rows of each class; returns row numbers, ascending."""
    counts = Counter(labels.tolist())
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
    if wanted is None:
        return np.arange(len(labels))
    rng = np.random.default_rng(settings.sample_seed)
    picks = [rng.choice(np.flatnonzero(labels == c), wanted, replace=False) for c in range(len(names))]
    return np.sort(np.concatenate(picks))


def _warn_of_leaks(train: list[str], test: list[str], train_name: str, test_name: str) -> None:
    shared = len(set(train) & set(test))
    if shared:
        log.warning("%d texts stand both in %s and in %s: accuracy will be too good", shared, train_name, test_name)
    repeated = len(train) - len(set(train))
    if repeated:
        log.warning("%s: %d of the sampled training texts are repetitions", train_name, repeated)
