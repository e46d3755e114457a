"""Checks the columns and rows of a study's data files, before anything runs."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from gendist.config.dataset_settings import Dataset
from gendist.config.file_checks import given_rows
from gendist.config.study import Study
from gendist.config.study_plan import planned_pools
from gendist.errors import GendistError
from gendist.io.delimited_files import ReadOptions, open_delimited, require_columns
from gendist.io.json_files import read_json_lines
from gendist.io.regular_files import require_separate_test_file
from gendist.io.text_encodings import text_file
from gendist.stages.texts.labelled_rows import LabelledRows, read_labelled_rows, read_unlabelled_rows
from gendist.stages.texts.raw_rows import reading_options, require_file_type
from gendist.stages.texts.similar_labels import count_shared_texts, format_similar_labels

MAX_BYTES_CHECKED = 2**24
"""Files up to this size are checked in full, in about a second; of larger files, only the columns are. The limit
applies to a dataset's two files together, to its unlabelled file, and to a generator's rows file."""
MIN_SHARED = 0.01
"""Share of the test texts that occur among the training texts, above which a note is printed."""


def print_note(note: str) -> None:
    """Print a note on standard error."""
    print(f"note: {note}", file=sys.stderr)


def require_data(study: Study, notify: Callable[[str], None] = print_note) -> dict[str, int]:
    """Check a study's data files as its first jobs do; of large files, only the columns.

    Args:
        study: the study.
        notify: callback for notes to the user.

    Returns:
        Number of training rows by dataset, without datasets of large files or the hub.

    Raises:
        GendistError: if a file is invalid, has too few unlabelled or given rows, or is both a test file and another.
    """
    classes: dict[str, list[str]] = {}
    rows: dict[str, int] = {}
    for name, dataset in study.datasets.items():
        if dataset.hub is None:
            counts = _check_labelled(name, dataset, notify)
            classes[name] = list(counts)
            if counts:
                rows[name] = sum(min(count, dataset.train_per_class or count) for count in counts.values())
        if dataset.unlabelled is not None:
            _check_unlabelled(name, dataset)
    pools = planned_pools(study)
    for generator, name, file in given_rows(study):
        wanted = pools[name, generator, study.sampling]
        if (test := study.datasets[name].test) is not None:
            keys = f" (keys 'datasets.{name}.test' and 'generators.{generator}.rows')"
            require_separate_test_file(Path(test), file, keys, "generator's")
        _check_given_rows(file, classes.get(name, []), wanted, generator=generator, key=f"datasets.{name}.synthetic")
    return rows


def _check_labelled(name: str, dataset: Dataset, notify: Callable[[str], None]) -> dict[str, int]:
    """Check labelled files; return the training rows per class, in order, or an empty dict for large files."""
    train, test = files = [Path(str(path)) for path in (dataset.train, dataset.test)]
    size = sum(require_file_type(file) for file in files)
    require_separate_test_file(test, train, f" (keys 'train' and 'test' of datasets.{name})")
    if size <= MAX_BYTES_CHECKED:
        training, testing, names = read_labelled_rows(dataset)
        for note in _notes(training, testing, names):
            notify(note)
        counts = Counter(training.labels)
        return {name: counts[number] for number, name in enumerate(names)}
    for file in files:
        _check_columns(file, reading_options(dataset), [*dataset.text, dataset.label])
    return {}


def _notes(training: LabelledRows, testing: LabelledRows, names: Sequence[str]) -> Iterator[str]:
    """Yield what a user should know about rows that are valid."""
    for rows in (training, testing):
        yield from (f"{rows.source.name}: {note}" for note in rows.source.notes)
    for group in format_similar_labels(names):
        yield f"{training.source.name}: labels {group} are different classes; the dataset's key 'labels' can merge them"
    shared, total = count_shared_texts(training.texts, testing.texts), len(testing.texts)
    if shared > MIN_SHARED * total:
        yield (
            f"{testing.source.name}: {shared:,} of {total:,} texts are in {training.source.name} too; accuracy may be "
            "overestimated"
        )


def _check_unlabelled(name: str, dataset: Dataset) -> None:
    file = Path(str(dataset.unlabelled))
    if require_file_type(file) > MAX_BYTES_CHECKED:
        _check_columns(file, reading_options(dataset), dataset.text)
        return
    found = len(read_unlabelled_rows(dataset)[1])
    if found < dataset.n_unlabelled:
        key = "unlabelled_rows" if dataset.unlabelled_rows else "synthetic"
        raise GendistError(
            f"{file}: {found:,} rows, fewer than the {dataset.n_unlabelled:,} required by datasets.{name}.{key}; "
            f"set datasets.{name}.unlabelled_rows to {found} or fewer"
        )


def _check_given_rows(file: Path, classes: Sequence[str], wanted: int, *, generator: str, key: str) -> None:
    from gendist.stages.synthetic.given_rows import TEXT, given_texts  # imports pyarrow

    if require_file_type(file) > MAX_BYTES_CHECKED:
        _check_columns(file, ReadOptions(), [TEXT])
        return
    found = len(given_texts(file, classes)[1])
    if found < wanted:
        raise GendistError(
            f"{file}: {found:,} rows, fewer than the {wanted:,} required by {key} (key 'generators.{generator}.rows')"
        )


def _check_columns(file: Path, reading: ReadOptions, wanted: Sequence[str]) -> None:
    try:
        require_columns(str(file), _columns(file, reading, wanted), wanted)
    except OSError as error:
        raise GendistError(f"{file}: cannot be read ({error.strerror})") from None


def _columns(file: Path, reading: ReadOptions, wanted: Sequence[str]) -> list[str]:
    """Return a file's column names, from its start."""
    kind = file.suffix.lower()
    if kind == ".parquet":
        from gendist.io.parquet import column_names

        return column_names(file)
    if kind == ".jsonl":
        return list(next(read_json_lines(text_file(file), reading.encoding, wanted), (0, {}))[1])
    if reading.quoting == "auto":  # which would read the whole file
        reading = replace(reading, quoting="standard")
    return open_delimited(text_file(file), reading, wanted, prefer_tabs=kind == ".tsv").columns(
        reading.header is not False
    )
