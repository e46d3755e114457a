"""Read, check and split a user's file, and write the config and data files of a study (``gendist init``)."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from gendist.cli.own_data.config_template import ConfigFields, render_config
from gendist.cli.own_data.data_warnings import dropped_row_warnings, length_warnings, overlap_warnings, row_warnings
from gendist.cli.own_data.study_size import choose_study_size, estimate_seconds, format_estimate
from gendist.cli.own_data.text_rows import (
    EMPTY_LABEL,
    TextRows,
    clean_rows,
    drop_rare_classes,
    drop_unknown_classes,
    merge_label_variants,
    merge_labels_into,
    write_rows,
)
from gendist.cli.own_data.train_test_split import train_test_split
from gendist.cli.own_data.unlabelled_rows import (
    MAX_UNLABELLED,
    count_empty_labels,
    drop_labelled_texts,
    select_unlabelled,
)
from gendist.config import study_from
from gendist.errors import GendistError
from gendist.io.atomic_files import write_text
from gendist.io.delimited_files import ReadOptions
from gendist.io.text_encodings import COMMAND_OPTION, guess_encoding
from gendist.stages.texts.raw_rows import TEXT_SUFFIXES, RawRows, read_rows, require_file_type

ESTIMATED_CORES = 2
"""Cores of the time estimate."""
MAX_COUNTED_TEXTS = 20_000
"""Texts whose subwords are counted."""


@dataclass(frozen=True)
class InputTable:
    """A user's file with all its columns."""

    path: Path
    source: RawRows

    @property
    def encoding(self) -> str:
        """Encoding of a text file."""
        return self.source.reading.encoding


@dataclass(frozen=True)
class ColumnRoles:
    """Names of the text and label columns."""

    text: Sequence[str]
    label: str


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


def read_table(path: Path, reading: ReadOptions, guess: bool, named: Sequence[str] = ()) -> InputTable:
    """Read a file of any accepted kind with all its columns.

    Args:
        path: the file.
        reading: format options.
        guess: whether to detect the encoding.
        named: columns named by the user.

    Raises:
        GendistError: if the file cannot be read or has no rows.
    """
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        raise GendistError(f"{os.fspath(path)!a}: the name of the file is not UTF-8; rename it") from None
    require_file_type(path)
    if guess and path.suffix.lower() in TEXT_SUFFIXES:
        try:
            reading = replace(reading, encoding=guess_encoding(path.read_bytes()))
        except OSError as error:
            raise GendistError(f"{path}: cannot be read ({error.strerror})") from None
    source = read_rows(path, None, reading=reading, option=COMMAND_OPTION, expected=named)
    if not source.numbers:
        raise GendistError(f"{path}: no rows")
    if guess and reading.encoding in ("cp1252", "latin-1"):
        note = f"not UTF-8, read as {reading.encoding}; if accented letters are wrong, set --encoding"
        source = replace(source, notes=[note, *source.notes])
    return InputTable(path, source)


def require_columns(table: InputTable, names: Sequence[str]) -> None:
    """Raise if a column is missing or its name occurs twice.

    Raises:
        GendistError: with the first such column.
    """
    for name in names:
        if name in table.source.duplicate_columns:
            raise GendistError(f"{table.path}: column '{name}' occurs twice in the header; rename one of them")
        if name not in table.source.columns:
            present = ", ".join(f"'{column}'" for column in table.source.columns)
            close = get_close_matches(name.lower(), [column.lower() for column in table.source.columns], 1)
            suggestion = [column for column in table.source.columns if column.lower() in close]
            hint = f"; did you mean '{suggestion[0]}'?" if suggestion else ""
            raise GendistError(f"{table.path}: no column '{name}' (has {present}){hint}")


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
    warnings += length_warnings(*_count_subwords(rows))
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


def _count_subwords(rows: TextRows) -> tuple[TextRows, list[int]]:
    """Return a sample of the rows and the number of subwords of each."""
    from tokenizers import Tokenizer

    from gendist.nn.pocket.packaged_files import SUBWORDS

    sample = rows.take(range(min(MAX_COUNTED_TEXTS, len(rows))))
    tokenizer = Tokenizer.from_file(str(SUBWORDS / "tokenizer.json"))
    encoded = tokenizer.encode_batch(sample.texts, add_special_tokens=False)
    return sample, [len(one.ids) for one in encoded]


@dataclass(frozen=True)
class OutputPaths:
    """Files written by ``gendist init``."""

    config: Path
    train: Path
    test: Path
    unlabelled: Path


def output_paths(config: Path, name: str) -> OutputPaths:
    """Return the files to write: data files in ``data/`` beside the config."""
    data = config.parent / "data"
    return OutputPaths(config, *(data / f"{name}-{part}.csv" for part in ("train", "test", "unlabelled")))


def require_writable(paths: OutputPaths, sources: Sequence[Path], force: bool) -> None:
    """Raise if an output exists; never overwrite the user's own files.

    Raises:
        GendistError: with the first such file.
    """
    for path in (paths.config, paths.train, paths.test, paths.unlabelled):
        if any(path.exists() and path.samefile(source) for source in sources if source.exists()):
            raise GendistError(f"{path}: would overwrite your own file; choose another --name or --out")
        if path.exists() and not force:
            raise GendistError(f"{path}: exists; use --force to overwrite it, or another --name or --out")


def write_study(
    table: InputTable,
    *,
    test_table: InputTable | None,
    roles: ColumnRoles,
    prepared: PreparedRows,
    paths: OutputPaths,
    name: str,
) -> str:
    """Write the config, and the data files unless the study can read the user's files.

    Returns:
        The estimated time, in words.
    """
    size = choose_study_size(prepared.train.counts)
    fields = ConfigFields(
        name, train=_relative_to_cwd(paths.train), test=_relative_to_cwd(paths.test), text=roles.text, label=roles.label
    )
    if prepared.use_original_files and test_table is not None:
        fields = ConfigFields(
            name,
            train=str(table.path),
            test=str(test_table.path),
            text=roles.text,
            label=roles.label,
            reading=table.source.reading,
        )
    if prepared.unlabelled is not None:
        count = min(len(prepared.unlabelled), MAX_UNLABELLED)
        fields = replace(fields, unlabelled=_relative_to_cwd(paths.unlabelled), unlabelled_rows=count)
    labels = list(prepared.train.counts)

    def config(time: str) -> str:
        return render_config(
            fields, size, source=str(table.path), train_rows=len(prepared.train), labels=labels, time=time
        )

    import yaml

    study = study_from(yaml.safe_load(config("")), str(paths.config))
    used = len(prepared.train) if size.train_per_class is None else size.train_per_class * len(labels)
    time = format_estimate(
        estimate_seconds(study, used, len(prepared.test), _count_subwords(prepared.train)[1]) / ESTIMATED_CORES
    )
    if not (prepared.use_original_files and test_table is not None):
        write_rows(paths.train, prepared.train, roles.text, roles.label)
        write_rows(paths.test, prepared.test, roles.text, roles.label)
    if prepared.unlabelled is not None:
        write_rows(paths.unlabelled, prepared.unlabelled, roles.text, None)
    write_text(paths.config, config(time))
    return time


def _relative_to_cwd(path: Path) -> str:
    """Return a path relative to the working directory, as a study reads it."""
    return Path(os.path.relpath(path)).as_posix()
