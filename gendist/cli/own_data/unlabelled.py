"""Rows without labels that somebody has: of a file of their own, or those of the labelled file whose label is empty."""

from collections.abc import Sequence

from gendist.cli.own_data.rows import EMPTY_LABEL, Dropped, Rows, fault_of
from gendist.stages.texts.labelled_rows import label_error, read_label
from gendist.stages.texts.prepare_unlabelled import drop_reasons
from gendist.stages.texts.raw_rows import RawRows

FEWEST = 100
"""Rows of the labelled file without a label that are worth further systems and runs of the study."""
MOST = 5000
"""Rows that the config takes of them, since each is scored; more can be asked for in it."""


def rows_without_labels(source: RawRows, text: Sequence[str], label: str | None = None) -> tuple[Rows, list[Dropped]]:
    """Return the rows that have a text, with an empty ``label`` where a column is named; and those without text."""
    kept, dropped = Rows(source.name, source.unit, [], [], []), []
    for row, number in enumerate(source.numbers):
        parts = [source.columns[column][row] for column in text]
        why = fault_of(parts)
        if why:
            dropped.append(Dropped(number, why))
        elif label is None or not (label_error(source.columns[label][row]) or read_label(source, row, label)):
            kept.numbers.append(number)
            kept.parts.append([part or "" for part in parts])
            kept.labels.append("")
    return kept, dropped


def count_empty_labels(dropped: Sequence[Dropped]) -> int:
    """Count the rows that are left out only because they have no label."""
    return sum(row.why == EMPTY_LABEL for row in dropped)


def drop_known(rows: Rows, train: Rows, test: Rows) -> tuple[Rows, list[Dropped]]:
    """Drop rows whose text is that of a training or test row but for case, width and white space, as the study does."""
    reasons = drop_reasons(rows.texts, train.texts, test.texts)
    kept = [place for place, why in enumerate(reasons) if not why]
    return rows.take(kept), [Dropped(rows.numbers[place], why) for place, why in enumerate(reasons) if why]
