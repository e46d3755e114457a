"""Rows of a user's file: those that a study accepts, and those that it rejects."""

import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gendist.io.atomic_files import write_text
from gendist.io.delimited_files import row_writer
from gendist.stages.texts.labelled_rows import label_error, read_label
from gendist.stages.texts.raw_rows import RawRows
from gendist.stages.texts.similar_labels import describe_similar, group_similar_labels, quote_label

SEPARATOR = " "
"""Separator between joined columns: the default of a study."""
EMPTY_LABEL = "empty label"
"""Reason for dropping a row that can be an unlabelled row."""


@dataclass(frozen=True)
class TextRows:
    """Texts with labels."""

    name: str
    """File name for messages."""
    unit: str
    """Unit of ``numbers``: 'line' or 'row'."""
    numbers: list[int]
    """Position of each row in the file."""
    parts: list[list[str]]
    """Cells of the text columns, (rows, columns)."""
    labels: list[str]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def texts(self) -> list[str]:
        """Text of each row, joined as in a study."""
        return [SEPARATOR.join(part.strip() for part in parts if part.strip()) for parts in self.parts]

    @property
    def counts(self) -> dict[str, int]:
        """Rows per class, largest class first."""
        return dict(sorted(Counter(self.labels).items(), key=lambda item: (-item[1], item[0])))

    def take(self, indices: Sequence[int]) -> "TextRows":
        """Return the rows at these indices."""
        return TextRows(
            self.name,
            self.unit,
            numbers=[self.numbers[i] for i in indices],
            parts=[self.parts[i] for i in indices],
            labels=[self.labels[i] for i in indices],
        )


@dataclass(frozen=True)
class DroppedRow:
    """A row that a study rejects."""

    number: int
    reason: str


def clean_rows(source: RawRows, text: Sequence[str], label: str) -> tuple[TextRows, list[DroppedRow]]:
    """Split rows into those with text and label, and dropped ones."""
    kept, dropped = TextRows(source.name, source.unit, numbers=[], parts=[], labels=[]), []
    for row, number in enumerate(source.numbers):
        parts = [source.columns[column][row] for column in text]
        reason = text_error(parts)
        name = ""
        if not reason:
            fault = label_error(source.columns[label][row])
            name = "" if fault else read_label(source, row, label)
            reason = f"label {fault}" if fault else "" if name else EMPTY_LABEL
        if reason:
            dropped.append(DroppedRow(number, reason))
            continue
        kept.numbers.append(number)
        kept.parts.append([part or "" for part in parts])
        kept.labels.append(name)
    return kept, dropped


def text_error(parts: Sequence[object]) -> str:
    """Return why a study rejects the text cells; empty if it accepts them."""
    for part in parts:
        if part is not None and not isinstance(part, str):
            return f"text is of type {type(part).__name__}, expected text"
    joined = "".join(part for part in parts if isinstance(part, str))
    if not joined.strip():
        return "empty text"
    return "broken characters" if re.search("[\ud800-\udfff]", joined) else ""


def merge_label_variants(rows: TextRows) -> tuple[TextRows, list[str]]:
    """Merge labels that differ only in case or spaces, or as 1 and 1.0, into the most frequent one.

    Returns:
        The rows, and one line per merged label.
    """
    return merge_labels_into(rows, rows.counts)


def merge_labels_into(rows: TextRows, names: Iterable[str]) -> tuple[TextRows, list[str]]:
    """Merge label variants, preferring the given names.

    Returns:
        The rows, and one line per merged label.
    """
    counts = rows.counts
    renamed = {name: found[0] for found in group_similar_labels(dict.fromkeys([*names, *counts])) for name in found[1:]}
    notes = [
        f"{quote_label(name)} ({counts[name]:,} rows) merged into {quote_label(new)}"
        for name, new in renamed.items()
        if name in counts
    ]
    return replace(rows, labels=[renamed.get(name, name) for name in rows.labels]), notes


def drop_rare_classes(rows: TextRows, dropped: list[DroppedRow], fewest: int = 2) -> tuple[TextRows, list[DroppedRow]]:
    """Drop classes with fewer rows than a study accepts."""
    counts = rows.counts
    rare = [i for i, name in enumerate(rows.labels) if counts[name] < fewest]
    kept = [i for i, name in enumerate(rows.labels) if counts[name] >= fewest]
    rejected = [DroppedRow(rows.numbers[i], f"only row of class '{rows.labels[i]}'") for i in rare]
    return rows.take(kept), dropped + rejected


def drop_unknown_classes(
    rows: TextRows, dropped: list[DroppedRow], known: set[str]
) -> tuple[TextRows, list[DroppedRow]]:
    """Drop test rows of classes without training rows."""
    kept = [i for i, name in enumerate(rows.labels) if name in known]
    reasons = {}
    for name in {*rows.labels} - known:
        similar = describe_similar(name, known)
        hint = f" ({similar}; --merge-case merges them)" if similar else ""
        reasons[name] = f"class '{name}' has no training row{hint}"
    rejected = [
        DroppedRow(number, reasons[name])
        for number, name in zip(rows.numbers, rows.labels, strict=True)
        if name in reasons
    ]
    return rows.take(kept), dropped + rejected


def write_rows(path: Path, rows: TextRows, text: Sequence[str], label: str | None) -> None:
    """Write rows as UTF-8 CSV, with each row's position in the original file.

    Args:
        path: file to write.
        rows: the rows.
        text: names of the text columns.
        label: name of the label column; None to omit it.
    """
    out = io.StringIO()
    writer = row_writer(out, quote_all=True)
    origin = f"original_{rows.unit}"
    while origin in (*text, label):
        origin += "_"
    writer.writerow([origin, *text, *([] if label is None else [label])])
    writer.writerows(
        [number, *parts, *([] if label is None else [name])]
        for number, parts, name in zip(rows.numbers, rows.parts, rows.labels, strict=True)
    )
    write_text(path, out.getvalue())
