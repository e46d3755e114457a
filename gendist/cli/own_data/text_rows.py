"""Rows that the study will take, and those that it would refuse."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gendist.io.files import write_text
from gendist.stages.texts.alike import groups
from gendist.stages.texts.labelled import label_fault, label_of
from gendist.stages.texts.sources import Source

SEPARATOR = " "
"""Between joined columns, as the study's default."""
EMPTY_LABEL = "empty label"
"""Why a row with a text is left out that may be an unlabelled one."""


@dataclass(frozen=True)
class TextRows:
    """Texts with labels, as they will stand in the study."""

    name: str
    """The file that they are from."""
    unit: str
    """What numbers count: 'line' or 'row'."""
    numbers: list[int]
    parts: list[list[str]]
    """(rows, text columns)."""
    labels: list[str]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def texts(self) -> list[str]:
        """Joined as the study joins them."""
        return [SEPARATOR.join(part.strip() for part in parts if part.strip()) for parts in self.parts]

    @property
    def counts(self) -> dict[str, int]:
        """Rows of each class, the largest first."""
        return dict(sorted(Counter(self.labels).items(), key=lambda item: (-item[1], item[0])))

    def take(self, places: Sequence[int]) -> "TextRows":
        """Return some of the rows."""
        return TextRows(
            self.name,
            self.unit,
            [self.numbers[i] for i in places],
            [self.parts[i] for i in places],
            [self.labels[i] for i in places],
        )


@dataclass(frozen=True)
class DroppedRow:
    """A row that the study would refuse."""

    number: int
    why: str


def clean_rows(source: Source, text: Sequence[str], label: str) -> tuple[TextRows, list[DroppedRow]]:
    """Keep the rows that have a text and a label."""
    kept, dropped = TextRows(source.name, source.unit, [], [], []), []
    for row, number in enumerate(source.rows):
        parts = [source.columns[column][row] for column in text]
        why = text_error(parts)
        name = ""
        if not why:
            fault = label_fault(source.columns[label][row])
            name = "" if fault else label_of(source, row, label)
            why = f"label {fault}" if fault else "" if name else EMPTY_LABEL
        if why:
            dropped.append(DroppedRow(number, why))
            continue
        kept.numbers.append(number)
        kept.parts.append([part or "" for part in parts])
        kept.labels.append(name)
    return kept, dropped


def text_error(parts: Sequence[object]) -> str:
    """Return why the study would refuse the cells of a text; empty if it would not."""
    for part in parts:
        if part is not None and not isinstance(part, str):
            return f"text is of type {type(part).__name__}, expected text"
    joined = "".join(part for part in parts if isinstance(part, str))
    if not joined.strip():
        return "empty text"
    return "broken characters" if re.search("[\ud800-\udfff]", joined) else ""


def merge_label_variants(rows: TextRows) -> tuple[TextRows, list[str]]:
    """Give labels that differ in case, spaces or as numbers (1 and 1.0) the name that most of their rows have.

    Returns:
        The rows, and what was merged, in words.
    """
    return merge_labels_into(rows, rows.counts)


def merge_labels_into(rows: TextRows, names: Iterable[str]) -> tuple[TextRows, list[str]]:
    """Do the same with the first of some names that fits."""
    counts = rows.counts
    renamed = {name: found[0] for found in groups(dict.fromkeys([*names, *counts])) for name in found[1:]}
    told = [f"'{name}' ({counts[name]:,} rows) merged into '{renamed[name]}'" for name in renamed if name in counts]
    return replace(rows, labels=[renamed.get(name, name) for name in rows.labels]), told


def drop_rare_classes(rows: TextRows, dropped: list[DroppedRow], fewest: int = 2) -> tuple[TextRows, list[DroppedRow]]:
    """Drop classes of fewer rows than the study accepts."""
    counts = rows.counts
    rare = [i for i, name in enumerate(rows.labels) if counts[name] < fewest]
    kept = [i for i, name in enumerate(rows.labels) if counts[name] >= fewest]
    lost = [DroppedRow(rows.numbers[i], f"only row of class '{rows.labels[i]}'") for i in rare]
    return rows.take(kept), dropped + lost


def drop_unknown_classes(
    rows: TextRows, dropped: list[DroppedRow], known: set[str]
) -> tuple[TextRows, list[DroppedRow]]:
    """Drop test rows of classes that no training row has."""
    kept = [i for i, name in enumerate(rows.labels) if name in known]
    lost = [
        DroppedRow(number, f"class '{name}' has no training row")
        for number, name in zip(rows.numbers, rows.labels, strict=True)
        if name not in known
    ]
    return rows.take(kept), dropped + lost


def write_rows(path: Path, rows: TextRows, text: Sequence[str], label: str | None) -> None:
    """Write rows as CSV in UTF-8, with the line or row of the original file that each is from.

    Without a ``label``, there is no such column.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    origin = f"original_{rows.unit}"
    while origin in (*text, label):
        origin += "_"
    writer.writerow([origin, *text, *([] if label is None else [label])])
    writer.writerows(
        [number, *parts, *([] if label is None else [name])]
        for number, parts, name in zip(rows.numbers, rows.parts, rows.labels, strict=True)
    )
    write_text(path, out.getvalue())
