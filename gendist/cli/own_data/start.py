"""From a file of somebody's rows to a config and clean files: what ``gendist init`` does between its questions."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from gendist.cli.own_data.checks import dropped_rows, findings, lengths, shared_texts
from gendist.cli.own_data.config import Named, config_text
from gendist.cli.own_data.rows import (
    EMPTY_LABEL,
    Rows,
    clean_rows,
    drop_classes,
    drop_unknown,
    merge_alike,
    merge_as,
    write_rows,
)
from gendist.cli.own_data.size import choose_size, in_words, seconds
from gendist.cli.own_data.split import split_rows
from gendist.cli.own_data.unlabelled import MOST, count_empty_labels, drop_known, rows_without_labels
from gendist.config import study_from
from gendist.errors import GendistError
from gendist.io.atomic_files import write_text
from gendist.io.delimited_files import ReadOptions
from gendist.io.text_encodings import COMMAND_OPTION, guess_encoding
from gendist.stages.texts.raw_rows import TEXT_SUFFIXES, RawRows, read_rows, require_file_type

CORES = 2
SAMPLE = 20_000
"""Texts whose pieces are counted."""


@dataclass(frozen=True)
class Table:
    """A file with all its columns."""

    path: Path
    source: RawRows

    @property
    def encoding(self) -> str:
        """Of a text file."""
        return self.source.reading.encoding


@dataclass(frozen=True)
class Roles:
    """Which columns are the texts and the labels."""

    text: Sequence[str]
    label: str


@dataclass(frozen=True)
class Prepared:
    """What will be written, and what its owner should know."""

    train: Rows
    test: Rows
    warnings: list[str]
    clean: bool
    """Whether the study can read the given files as they are."""
    unlabelled: Rows | None = None
    """Rows without labels for the study; None for none."""


def read_table(path: Path, reading: ReadOptions, guess: bool, wanted: Sequence[str] = ()) -> Table:
    """Read a file of any accepted kind with all its columns.

    Args:
        path: the file.
        reading: what the user says of a text file.
        guess: whether to guess its encoding.
        wanted: columns that the user names.

    Raises:
        GendistError: if the file cannot be read, or has no rows.
    """
    require_file_type(path)
    if guess and path.suffix.lower() in TEXT_SUFFIXES:
        try:
            reading = replace(reading, encoding=guess_encoding(path.read_bytes()))
        except OSError as error:
            raise GendistError(f"{path}: cannot be read ({error.strerror})") from None
    source = read_rows(path, None, reading=reading, option=COMMAND_OPTION, expected=wanted)
    if not source.numbers:
        raise GendistError(f"{path}: no rows")
    return Table(path, source)


def require_columns(table: Table, names: Sequence[str]) -> None:
    """Refuse columns that a table does not have.

    Raises:
        GendistError: for the first.
    """
    for name in names:
        if name in table.source.duplicate_columns:
            raise GendistError(f"{table.path}: column '{name}' stands twice in the header; rename one of them")
        if name not in table.source.columns:
            has = ", ".join(f"'{column}'" for column in table.source.columns)
            close = get_close_matches(name.lower(), [column.lower() for column in table.source.columns], 1)
            meant = [column for column in table.source.columns if column.lower() in close]
            hint = f"; did you mean '{meant[0]}'?" if meant else ""
            raise GendistError(f"{table.path}: no column '{name}' (has {has}){hint}")


def count_unlabelled(table: Table, roles: Roles) -> int:
    """Count the rows of a labelled file that have a text and an empty label."""
    return count_empty_labels(clean_rows(table.source, roles.text, roles.label)[1])


def prepare(
    table: Table,
    roles: Roles,
    given_test: Table | None,
    *,
    further: Table | None = None,
    take_unlabelled: bool = False,
    merge: bool = False,
) -> Prepared:
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
    found, merged = merge_alike(found) if merge else (found, [])
    rows, dropped = drop_classes(found, unusable)
    if len(rows.counts) < 2:
        left = ", ".join(f"'{name}'" for name in rows.counts) or "none"
        why = "".join(f"; {line}" for line in dropped_rows(dropped, rows.unit))
        raise GendistError(
            f"{table.path}: a classifier needs two classes of at least two rows each; "
            f"column '{roles.label}' has {left}{why}"
        )
    told = [row for row in dropped if not (take_unlabelled and row.why == EMPTY_LABEL)]
    warnings = [*merged, *dropped_rows(told, rows.unit), *findings(rows)]
    if given_test is None:
        train_places, test_places = split_rows(rows)
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
        tested, also_merged = merge_as(tested, rows.counts) if merge else (tested, [])
        test, lost = drop_unknown(tested, unusable, set(rows.counts))
        alike = table.source.reading == given_test.source.reading and not merged and not also_merged
        clean = not dropped and not lost and alike
        warnings += [f"{given_test.path}: {line}" for line in (*given_test.source.notes, *also_merged)]
        if not len(test):
            raise GendistError(f"{given_test.path}: no row with a text and a class that {table.path} has")
        warnings += [f"{given_test.path}: {line}" for line in dropped_rows(lost, test.unit)]
        warnings += [f"{given_test.path}: {line}" for line in findings(test) if "repeat" not in line]
        warnings += shared_texts(train, test)
    warnings += lengths(*_measured(rows))
    unlabelled, lines = _unlabelled(table if take_unlabelled else None, further, roles, train, test)
    return Prepared(train, test, warnings + lines, clean and unlabelled is None, unlabelled)


def _unlabelled(
    table: Table | None, further: Table | None, roles: Roles, train: Rows, test: Rows
) -> tuple[Rows | None, list[str]]:
    """Return the rows without labels of both files, and what is to be said of those that are left out."""
    found: list[Rows] = []
    lines = [f"{further.path}: {note}" for note in further.source.notes] if further else []
    for given, label in ((table, roles.label), (further, None)):
        if given is not None:
            rows, dropped = rows_without_labels(given.source, roles.text, label)
            rows, known = drop_known(rows, train, test)
            lost = known if label is not None else dropped + known  # the others are told of already
            lines += [f"{given.path}, without labels: {line}" for line in dropped_rows(lost, rows.unit)]
            if given is further and not len(rows):
                raise GendistError(f"{given.path}: no row with a text that is not among the labelled ones")
            found.append(rows)
    numbers, parts = [n for rows in found for n in rows.numbers], [p for rows in found for p in rows.parts]
    if not numbers:
        return None, lines
    return Rows(found[0].name, found[0].unit, numbers, parts, [""] * len(numbers)), lines


def _measured(rows: Rows) -> tuple[Rows, list[int]]:
    """Return some of the rows and their numbers of subword pieces."""
    from tokenizers import Tokenizer

    from gendist.jobs.source_files import PACKAGE

    some = rows.take(range(min(SAMPLE, len(rows))))
    tokenizer = Tokenizer.from_file(str(PACKAGE / "pocket" / "models" / "subwords" / "tokenizer.json"))
    encoded = tokenizer.encode_batch(some.texts, add_special_tokens=False)
    return some, [len(one.ids) for one in encoded]


@dataclass(frozen=True)
class Targets:
    """Files to be written."""

    config: Path
    train: Path
    test: Path
    unlabelled: Path


def targets(config: Path, name: str) -> Targets:
    """Return where the files go: the rows in ``data/`` beside the config."""
    data = config.parent / "data"
    return Targets(config, *(data / f"{name}-{part}.csv" for part in ("train", "test", "unlabelled")))


def require_free(places: Targets, sources: Sequence[Path], force: bool) -> None:
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
    table: Table, given_test: Table | None, roles: Roles, prepared: Prepared, places: Targets, name: str
) -> str:
    """Write the config and, where needed, clean files of rows.

    Returns:
        The time that the study may take, in words.
    """
    size = choose_size(prepared.train.counts)
    named = Named(name, _seen(places.train), _seen(places.test), roles.text, roles.label)
    if prepared.clean and given_test is not None:
        named = Named(name, str(table.path), str(given_test.path), roles.text, roles.label, table.source.reading)
    else:
        write_rows(places.train, prepared.train, roles.text, roles.label)
        write_rows(places.test, prepared.test, roles.text, roles.label)
    if prepared.unlabelled is not None:
        write_rows(places.unlabelled, prepared.unlabelled, roles.text, None)
        count = min(len(prepared.unlabelled), MOST)
        named = replace(named, unlabelled=_seen(places.unlabelled), unlabelled_rows=count)
    labels = list(prepared.train.counts)

    def text(time: str) -> str:
        return config_text(named, size, str(table.path), len(prepared.train), labels, time)

    import yaml

    study = study_from(yaml.safe_load(text("")), str(places.config))
    used = len(prepared.train) if size.train_per_class is None else size.train_per_class * len(labels)
    time = in_words(seconds(study, used, len(prepared.test), _measured(prepared.train)[1]) / CORES)
    write_text(places.config, text(time))
    return time


def _seen(path: Path) -> str:
    """Return a path as the study will see it: relative to the working directory."""
    return Path(os.path.relpath(path)).as_posix()
