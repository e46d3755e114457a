"""From a file of somebody's rows to a config and clean files: what ``gendist init`` does between its questions."""

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
from gendist.io.delimited import Reading
from gendist.io.encodings import COMMAND_OPTION, guess_encoding
from gendist.io.files import write_text
from gendist.stages.texts.sources import TEXT_FILES, Source, read_file, require_kind

ESTIMATED_CORES = 2
MAX_COUNTED_TEXTS = 20_000
"""Texts whose pieces are counted."""


@dataclass(frozen=True)
class InputTable:
    """A file with all its columns."""

    path: Path
    source: Source

    @property
    def encoding(self) -> str:
        """Of a text file."""
        return self.source.reading.encoding


@dataclass(frozen=True)
class ColumnRoles:
    """Which columns are the texts and the labels."""

    text: Sequence[str]
    label: str


@dataclass(frozen=True)
class PreparedRows:
    """What will be written, and what its owner should know."""

    train: TextRows
    test: TextRows
    warnings: list[str]
    clean: bool
    """Whether the study can read the given files as they are."""
    unlabelled: TextRows | None = None
    """Rows without labels for the study; None for none."""


def read_table(path: Path, reading: Reading, guess: bool, wanted: Sequence[str] = ()) -> InputTable:
    """Read a file of any accepted kind with all its columns.

    Args:
        path: the file.
        reading: what the user says of a text file.
        guess: whether to guess its encoding.
        wanted: columns that the user names.

    Raises:
        GendistError: if the file cannot be read, or has no rows.
    """
    require_kind(path)
    if guess and path.suffix.lower() in TEXT_FILES:
        try:
            reading = replace(reading, encoding=guess_encoding(path.read_bytes()))
        except OSError as error:
            raise GendistError(f"{path}: cannot be read ({error.strerror})") from None
    source = read_file(path, None, reading, option=COMMAND_OPTION, expected=wanted)
    if not source.rows:
        raise GendistError(f"{path}: no rows")
    return InputTable(path, source)


def require_columns(table: InputTable, names: Sequence[str]) -> None:
    """Refuse columns that a table does not have.

    Raises:
        GendistError: for the first.
    """
    for name in names:
        if name in table.source.twice:
            raise GendistError(f"{table.path}: column '{name}' stands twice in the header; rename one of them")
        if name not in table.source.columns:
            has = ", ".join(f"'{column}'" for column in table.source.columns)
            close = get_close_matches(name.lower(), [column.lower() for column in table.source.columns], 1)
            meant = [column for column in table.source.columns if column.lower() in close]
            hint = f"; did you mean '{meant[0]}'?" if meant else ""
            raise GendistError(f"{table.path}: no column '{name}' (has {has}){hint}")


def count_unlabelled(table: InputTable, roles: ColumnRoles) -> int:
    """Count the rows of a labelled file that have a text and an empty label."""
    return count_empty_labels(clean_rows(table.source, roles.text, roles.label)[1])


def prepare_rows(
    table: InputTable,
    roles: ColumnRoles,
    given_test: InputTable | None,
    *,
    further: InputTable | None = None,
    take_unlabelled: bool = False,
    merge: bool = False,
) -> PreparedRows:
    """Leave out what the study would refuse, split off test rows where none are given, and look for oddities.

    Args:
        table: the labelled file.
        roles: its columns of texts and labels.
        given_test: a file of test rows.
        further: a file of rows without labels.
        take_unlabelled: take the rows of ``table`` whose label is empty for such rows too.
        merge: whether labels that differ in case or spaces are one class.

    Raises:
        GendistError: if fewer than two classes are left, or no row of ``further`` can be used.
    """
    found, unusable = clean_rows(table.source, roles.text, roles.label)
    found, merged = merge_label_variants(found) if merge else (found, [])
    rows, dropped = drop_rare_classes(found, unusable)
    if len(rows.counts) < 2:
        left = ", ".join(f"'{name}'" for name in rows.counts) or "none"
        why = "".join(f"; {line}" for line in dropped_row_warnings(dropped, rows.unit))
        raise GendistError(
            f"{table.path}: a classifier needs two classes of at least two rows each; "
            f"column '{roles.label}' has {left}{why}"
        )
    told = [row for row in dropped if not (take_unlabelled and row.why == EMPTY_LABEL)]
    warnings = [*merged, *dropped_row_warnings(told, rows.unit), *row_warnings(rows)]
    if given_test is None:
        train_places, test_places = train_test_split(rows)
        train, test = rows.take(train_places), rows.take(test_places)
        clean = False
        if not len(test):
            raise GendistError(f"{table.path}: too few rows for a test part ({len(rows)}); name one with --test FILE")
        missing = [name for name in rows.counts if name not in test.counts]
        if missing:
            warnings.append(f"no test rows of {', '.join(repr(name) for name in missing)}: too few rows to spare any")
    else:
        train = rows
        tested, unusable = clean_rows(given_test.source, roles.text, roles.label)
        tested, also_merged = merge_labels_into(tested, rows.counts) if merge else (tested, [])
        test, lost = drop_unknown_classes(tested, unusable, set(rows.counts))
        alike = table.source.reading == given_test.source.reading and not merged and not also_merged
        clean = not dropped and not lost and alike
        warnings += [f"{given_test.path}: {line}" for line in (*given_test.source.notes, *also_merged)]
        if not len(test):
            raise GendistError(f"{given_test.path}: no row with a text and a class that {table.path} has")
        warnings += [f"{given_test.path}: {line}" for line in dropped_row_warnings(lost, test.unit)]
        warnings += [f"{given_test.path}: {line}" for line in row_warnings(test) if "repeat" not in line]
        warnings += overlap_warnings(train, test)
    warnings += length_warnings(*_count_subwords(rows))
    unlabelled, lines = _collect_unlabelled(table if take_unlabelled else None, further, roles, train, test)
    return PreparedRows(train, test, warnings + lines, clean and unlabelled is None, unlabelled)


def _collect_unlabelled(
    table: InputTable | None, further: InputTable | None, roles: ColumnRoles, train: TextRows, test: TextRows
) -> tuple[TextRows | None, list[str]]:
    """Return the rows without labels of both files, and what is to be said of those that are left out."""
    found: list[TextRows] = []
    lines = [f"{further.path}: {note}" for note in further.source.notes] if further else []
    for given, label in ((table, roles.label), (further, None)):
        if given is not None:
            rows, dropped = select_unlabelled(given.source, roles.text, label)
            rows, known = drop_labelled_texts(rows, train, test)
            lost = known if label is not None else dropped + known  # the others are told of already
            lines += [f"{given.path}, without labels: {line}" for line in dropped_row_warnings(lost, rows.unit)]
            if given is further and not len(rows):
                raise GendistError(f"{given.path}: no row with a text that is not among the labelled ones")
            found.append(rows)
    numbers, parts = [n for rows in found for n in rows.numbers], [p for rows in found for p in rows.parts]
    if not numbers:
        return None, lines
    return TextRows(found[0].name, found[0].unit, numbers, parts, [""] * len(numbers)), lines


def _count_subwords(rows: TextRows) -> tuple[TextRows, list[int]]:
    """Return some of the rows and their numbers of subword pieces."""
    from tokenizers import Tokenizer

    from gendist.jobs.source_files import PACKAGE

    some = rows.take(range(min(MAX_COUNTED_TEXTS, len(rows))))
    tokenizer = Tokenizer.from_file(str(PACKAGE / "pocket" / "models" / "subwords" / "tokenizer.json"))
    encoded = tokenizer.encode_batch(some.texts, add_special_tokens=False)
    return some, [len(one.ids) for one in encoded]


@dataclass(frozen=True)
class OutputPaths:
    """Files to be written."""

    config: Path
    train: Path
    test: Path
    unlabelled: Path


def output_paths(config: Path, name: str) -> OutputPaths:
    """Return where the files go: the rows in ``data/`` beside the config."""
    data = config.parent / "data"
    return OutputPaths(config, *(data / f"{name}-{part}.csv" for part in ("train", "test", "unlabelled")))


def require_writable(places: OutputPaths, sources: Sequence[Path], force: bool) -> None:
    """Refuse to overwrite files, and the user's own in any case.

    Raises:
        GendistError: naming the first.
    """
    for path in (places.config, places.train, places.test, places.unlabelled):
        if any(path.exists() and path.samefile(source) for source in sources if source.exists()):
            raise GendistError(f"{path}: would overwrite your own file; choose another --name or --out")
        if path.exists() and not force:
            raise GendistError(f"{path}: is there already; --force overwrites it, --name and --out choose others")


def write_study(
    table: InputTable,
    given_test: InputTable | None,
    roles: ColumnRoles,
    prepared: PreparedRows,
    places: OutputPaths,
    name: str,
) -> str:
    """Write the config and, where needed, clean files of rows.

    Returns:
        The time that the study may take, in words.
    """
    size = choose_study_size(prepared.train.counts)
    named = ConfigFields(name, _relative_to_cwd(places.train), _relative_to_cwd(places.test), roles.text, roles.label)
    if prepared.clean and given_test is not None:
        named = ConfigFields(name, str(table.path), str(given_test.path), roles.text, roles.label, table.source.reading)
    else:
        write_rows(places.train, prepared.train, roles.text, roles.label)
        write_rows(places.test, prepared.test, roles.text, roles.label)
    if prepared.unlabelled is not None:
        write_rows(places.unlabelled, prepared.unlabelled, roles.text, None)
        count = min(len(prepared.unlabelled), MAX_UNLABELLED)
        named = replace(named, unlabelled=_relative_to_cwd(places.unlabelled), unlabelled_rows=count)
    labels = list(prepared.train.counts)

    def text(time: str) -> str:
        return render_config(named, size, str(table.path), len(prepared.train), labels, time)

    import yaml

    study = study_from(yaml.safe_load(text("")), str(places.config))
    used = len(prepared.train) if size.train_per_class is None else size.train_per_class * len(labels)
    time = format_estimate(
        estimate_seconds(study, used, len(prepared.test), _count_subwords(prepared.train)[1]) / ESTIMATED_CORES
    )
    write_text(places.config, text(time))
    return time


def _relative_to_cwd(path: Path) -> str:
    """Return a path as the study will see it: relative to the working directory."""
    return Path(os.path.relpath(path)).as_posix()
