"""Rows without labels that somebody has: of a file of their own, or those of the labelled file whose label is empty."""

from collections.abc import Sequence

from gendist.cli.own_data.text_rows import EMPTY_LABEL, DroppedRow, TextRows, text_error
from gendist.stages.texts.labelled import label_fault, label_of
from gendist.stages.texts.sources import Source
from gendist.stages.texts.unlabelled import why_dropped

MIN_UNLABELLED = 100
"""Rows of the labelled file without a label that are worth further systems and runs of the study."""
MAX_UNLABELLED = 5000
"""Rows that the config takes of them, since each is scored; more can be asked for in it."""


def select_unlabelled(
    source: Source, text: Sequence[str], label: str | None = None
) -> tuple[TextRows, list[DroppedRow]]:
    """Return the rows that have a text, with an empty ``label`` where a column is named; and those without text."""
    kept, dropped = TextRows(source.name, source.unit, [], [], []), []
    for row, number in enumerate(source.rows):
        parts = [source.columns[column][row] for column in text]
        why = text_error(parts)
        if why:
            dropped.append(DroppedRow(number, why))
        elif label is None or not (label_fault(source.columns[label][row]) or label_of(source, row, label)):
            kept.numbers.append(number)
            kept.parts.append([part or "" for part in parts])
            kept.labels.append("")
    return kept, dropped


def count_empty_labels(dropped: Sequence[DroppedRow]) -> int:
    """Count the rows that are left out only because they have no label."""
    return sum(row.why == EMPTY_LABEL for row in dropped)


def drop_labelled_texts(rows: TextRows, train: TextRows, test: TextRows) -> tuple[TextRows, list[DroppedRow]]:
    """Drop rows whose text is that of a training or test row but for case, width and white space, as the study does."""
    reasons = why_dropped(rows.texts, train.texts, test.texts)
    kept = [place for place, why in enumerate(reasons) if not why]
    return rows.take(kept), [DroppedRow(rows.numbers[place], why) for place, why in enumerate(reasons) if why]
