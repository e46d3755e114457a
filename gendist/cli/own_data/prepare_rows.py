"""Turn a user's file into the rows of a study: training, test and unlabelled rows, and warnings about them."""

from dataclasses import dataclass

from gendist.cli.own_data.data_warnings import dropped_row_warnings, length_warnings, overlap_warnings, row_warnings
from gendist.cli.own_data.input_table import ColumnRoles, InputTable
from gendist.cli.own_data.text_rows import (
    EMPTY_LABEL,
    TextRows,
    clean_rows,
    drop_rare_classes,
    drop_unknown_classes,
    merge_label_variants,
    merge_labels_into,
)
from gendist.cli.own_data.train_test_split import train_test_split
from gendist.cli.own_data.unlabelled_rows import count_empty_labels, drop_labelled_texts, select_unlabelled
from gendist.errors import GendistError

MAX_COUNTED_TEXTS = 20_000
"""Texts whose subwords are counted."""


@dataclass(frozen=True)
class PreparedRows:
    """Rows to write, and warnings for the user."""

    train: TextRows
    test: TextRows
    warnings: list[str]
    use_original_files: bool
    """Whether the study can read the user's files unchanged."""
    unlabelled: TextRows | None = None
    """Unlabelled rows, or None."""


def count_unlabelled(table: InputTable, roles: ColumnRoles) -> int:
    """Count the rows with a text and an empty label."""
    return count_empty_labels(clean_rows(table.source, roles.text, roles.label)[1])


def prepare_rows(
    table: InputTable,
    roles: ColumnRoles,
    test_table: InputTable | None,
    *,
    unlabelled_table: InputTable | None = None,
    use_empty_labels: bool = False,
    merge: bool = False,
) -> PreparedRows:
    """Drop rows that a study rejects, split off test rows if none are given, and collect warnings.

    Args:
        table: the labelled file.
        roles: its text and label columns.
        test_table: a file of test rows, or None.
        unlabelled_table: a file of unlabelled rows, or None.
        use_empty_labels: use the rows of ``table`` with an empty label as unlabelled rows.
        merge: merge labels that differ only in case or spaces.

    Raises:
        GendistError: if fewer than two classes or no test rows are left, or ``unlabelled_table`` has no usable row.
    """
    labelled, unusable = clean_rows(table.source, roles.text, roles.label)
    labelled, merged = merge_label_variants(labelled) if merge else (labelled, [])
    rows, dropped = drop_rare_classes(labelled, unusable)
    if len(rows.counts) < 2:
        left = ", ".join(f"'{name}'" for name in rows.counts) or "none"
        reason = "".join(f"; {line}" for line in dropped_row_warnings(dropped, rows.unit))
        raise GendistError(
            f"{table.path}: a classifier needs two classes of at least two rows each; "
            f"column '{roles.label}' has {left}{reason}"
        )
    reported = [row for row in dropped if not (use_empty_labels and row.reason == EMPTY_LABEL)]
    warnings = [*merged, *dropped_row_warnings(reported, rows.unit), *row_warnings(rows)]
    if test_table is None:
        train_indices, test_indices = train_test_split(rows)
        train, test = rows.take(train_indices), rows.take(test_indices)
        use_original_files = False
        if not len(test):
            raise GendistError(f"{table.path}: too few rows ({len(rows)}) to split off test rows; use --test FILE")
        missing = [name for name in rows.counts if name not in test.counts]
        if missing:
            warnings.append(f"no test rows of {', '.join(repr(name) for name in missing)}: too few rows")
    else:
        train = rows
        test_rows, unusable = clean_rows(test_table.source, roles.text, roles.label)
        test_rows, also_merged = merge_labels_into(test_rows, rows.counts) if merge else (test_rows, [])
        test, dropped_test = drop_unknown_classes(test_rows, unusable, set(rows.counts))
        same_format = table.source.reading == test_table.source.reading and not merged and not also_merged
        use_original_files = not dropped and not dropped_test and same_format
        warnings += [f"{test_table.path}: {line}" for line in (*test_table.source.notes, *also_merged)]
        if not len(test):
            reason = "".join(f"; {line}" for line in dropped_row_warnings(dropped_test, test.unit))
            raise GendistError(f"{test_table.path}: no row with a text and a class that {table.path} has{reason}")
        warnings += [f"{test_table.path}: {line}" for line in dropped_row_warnings(dropped_test, test.unit)]
        warnings += [f"{test_table.path}: {line}" for line in row_warnings(test) if "repeat" not in line]
        warnings += overlap_warnings(train, test)
    warnings += length_warnings(*count_subwords(rows))
    unlabelled, lines = _collect_unlabelled(
        table=table if use_empty_labels else None,
        unlabelled_table=unlabelled_table,
        roles=roles,
        train=train,
        test=test,
    )
    return PreparedRows(
        train,
        test,
        warnings=warnings + lines,
        use_original_files=use_original_files and unlabelled is None,
        unlabelled=unlabelled,
    )


def _collect_unlabelled(
    *,
    table: InputTable | None,
    unlabelled_table: InputTable | None,
    roles: ColumnRoles,
    train: TextRows,
    test: TextRows,
) -> tuple[TextRows | None, list[str]]:
    """Return the unlabelled rows of both files, and one line per reason for dropped rows."""
    collected: list[TextRows] = []
    lines = [f"{unlabelled_table.path}: {note}" for note in unlabelled_table.source.notes] if unlabelled_table else []
    for source, label in ((table, roles.label), (unlabelled_table, None)):
        if source is None:
            continue
        rows, dropped = select_unlabelled(source.source, roles.text, label)
        rows, duplicates = drop_labelled_texts(rows, train, test)
        reported = duplicates if label is not None else dropped + duplicates  # ``prepare_rows`` reports the others
        lines += [f"{source.path}, without labels: {line}" for line in dropped_row_warnings(reported, rows.unit)]
        if source is unlabelled_table and not len(rows):
            raise GendistError(f"{source.path}: no row with a text that is not among the labelled ones")
        collected.append(rows)
    numbers = [number for rows in collected for number in rows.numbers]
    if not numbers:
        return None, lines
    parts = [part for rows in collected for part in rows.parts]
    return TextRows(
        collected[0].name, collected[0].unit, numbers=numbers, parts=parts, labels=[""] * len(numbers)
    ), lines


def count_subwords(rows: TextRows) -> tuple[TextRows, list[int]]:
    """Return a sample of the rows and the number of subwords of each."""
    from tokenizers import Tokenizer

    from gendist.nn.pocket.packaged_files import SUBWORDS

    sample = rows.take(range(min(MAX_COUNTED_TEXTS, len(rows))))
    tokenizer = Tokenizer.from_file(str(SUBWORDS / "tokenizer.json"))
    encoded = tokenizer.encode_batch(sample.texts, add_special_tokens=False)
    return sample, [len(one.ids) for one in encoded]
