"""Unlabelled rows: from a separate file, or rows of the labelled file with an empty label."""

from collections.abc import Sequence

from gendist.cli.own_data.text_rows import EMPTY_LABEL, DroppedRow, TextRows, text_error
from gendist.stages.texts.labelled_rows import label_error, read_label
from gendist.stages.texts.prepare_unlabelled import drop_reasons
from gendist.stages.texts.raw_rows import RawRows

MIN_UNLABELLED = 100
"""Rows with an empty label needed to add the unlabelled regimes to a study."""
MAX_UNLABELLED = 5000
"""Unlabelled rows in the config: each is scored by the teacher. The config can be edited for more."""


def select_unlabelled(
    source: RawRows, text: Sequence[str], label: str | None = None
) -> tuple[TextRows, list[DroppedRow]]:
    """Return rows with a text (and, if ``label`` is given, an empty label), and the rows dropped for their text."""
    kept, dropped = TextRows(source.name, source.unit, numbers=[], parts=[], labels=[]), []
    for row, number in enumerate(source.numbers):
        parts = [source.columns[column][row] for column in text]
        reason = text_error(parts)
        if reason:
            dropped.append(DroppedRow(number, reason))
        elif label is None or not (label_error(source.columns[label][row]) or read_label(source, row, label)):
            kept.numbers.append(number)
            kept.parts.append([part or "" for part in parts])
            kept.labels.append("")
    return kept, dropped


def count_empty_labels(dropped: Sequence[DroppedRow]) -> int:
    """Count the rows dropped only for their empty label."""
    return sum(row.reason == EMPTY_LABEL for row in dropped)


def drop_labelled_texts(rows: TextRows, train: TextRows, test: TextRows) -> tuple[TextRows, list[DroppedRow]]:
    """Drop rows whose normalised text is that of a training or test row, as a study does."""
    reasons = drop_reasons(rows.texts, train.texts, test.texts)
    kept = [index for index, reason in enumerate(reasons) if not reason]
    return rows.take(kept), [DroppedRow(rows.numbers[index], reason) for index, reason in enumerate(reasons) if reason]
