"""Rows that the study will take, and those that it would refuse."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gendist.io.atomic_files import write_text
from gendist.stages.texts.labelled_rows import label_error, read_label
from gendist.stages.texts.raw_rows import RawRows
from gendist.stages.texts.similar_labels import group_similar_labels

SEPARATOR = " "
"""Between joined columns, as the study's default."""
EMPTY_LABEL = "empty label"
"""Why a row with a text is left out that may be an unlabelled one."""


@dataclass(frozen=True)
class Rows:
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

    def take(self, places: Sequence[int]) -> "Rows":
        """Return some of the rows."""
        return Rows(
            self.name,
            self.unit,
            [self.numbers[i] for i in places],
            [self.parts[i] for i in places],
            [self.labels[i] for i in places],
        )


@dataclass(frozen=True)
class Dropped:
    """A row that the study would refuse."""

    number: int
    why: str


def clean_rows(source: RawRows, text: Sequence[str], label: str) -> tuple[Rows, list[Dropped]]:
    """Keep the rows that have a text and a label."""
    kept, dropped = Rows(source.name, source.unit, [], [], []), []
    for row, number in enumerate(source.numbers):
        parts = [source.columns[column][row] for column in text]
        why = fault_of(parts)
        name = ""
        if not why:
            fault = label_error(source.columns[label][row])
            name = "" if fault else read_label(source, row, label)
            why = f"label {fault}" if fault else "" if name else EMPTY_LABEL
        if why:
            dropped.append(Dropped(number, why))
            continue
        kept.numbers.append(number)
        kept.parts.append([part or "" for part in parts])
        kept.labels.append(name)
    return kept, dropped


def fault_of(parts: Sequence[object]) -> str:
    """Return why the study would refuse the cells of a text; empty if it would not."""
    for part in parts:
        if part is not None and not isinstance(part, str):
            return f"text is of type {type(part).__name__}, expected text"
    joined = "".join(part for part in parts if isinstance(part, str))
    if not joined.strip():
        return "empty text"
    return "broken characters" if re.search("[\ud800-\udfff]", joined) else ""


def merge_alike(rows: Rows) -> tuple[Rows, list[str]]:
    """Give labels that differ in case, spaces or as numbers (1 and 1.0) the name that most of their rows have.

    Returns:
        The rows, and what was merged, in words.
    """
    return merge_as(rows, rows.counts)


def merge_as(rows: Rows, names: Iterable[str]) -> tuple[Rows, list[str]]:
    """Do the same with the first of some names that fits."""
    counts = rows.counts
    renamed = {name: found[0] for found in group_similar_labels(dict.fromkeys([*names, *counts])) for name in found[1:]}
    told = [f"'{name}' ({counts[name]:,} rows) merged into '{renamed[name]}'" for name in renamed if name in counts]
    return replace(rows, labels=[renamed.get(name, name) for name in rows.labels]), told


def drop_classes(rows: Rows, dropped: list[Dropped], fewest: int = 2) -> tuple[Rows, list[Dropped]]:
    """Drop classes of fewer rows than the study accepts."""
    counts = rows.counts
    rare = [i for i, name in enumerate(rows.labels) if counts[name] < fewest]
    kept = [i for i, name in enumerate(rows.labels) if counts[name] >= fewest]
    lost = [Dropped(rows.numbers[i], f"only row of class '{rows.labels[i]}'") for i in rare]
    return rows.take(kept), dropped + lost


def drop_unknown(rows: Rows, dropped: list[Dropped], known: set[str]) -> tuple[Rows, list[Dropped]]:
    """Drop test rows of classes that no training row has."""
    kept = [i for i, name in enumerate(rows.labels) if name in known]
    lost = [
        Dropped(number, f"class '{name}' has no training row")
        for number, name in zip(rows.numbers, rows.labels, strict=True)
        if name not in known
    ]
    return rows.take(kept), dropped + lost


def write_rows(path: Path, rows: Rows, text: Sequence[str], label: str | None) -> None:
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
