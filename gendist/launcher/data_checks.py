"""Whether a study's own files have the columns and rows that it needs, before anything runs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gendist.config.dataset import Dataset
from gendist.config.named_files import given_rows
from gendist.config.plan import planned_pools
from gendist.config.study import Study
from gendist.errors import GendistError
from gendist.io.delimited import Reading, open_sheet, require_columns
from gendist.io.encodings import text_file
from gendist.io.json_lines import json_records
from gendist.stages.texts.labelled_rows import read_labelled_rows, read_unlabelled_rows
from gendist.stages.texts.raw_rows import reading_options, require_file_type

CHECKED = 2**24
"""Bytes of a dataset's two files up to which all rows are checked: about a second. Of larger ones, columns are. The
same goes for a file of unlabelled rows, and for one of given rows."""


def require_data(study: Study) -> dict[str, int]:
    """Read a study's own files as its first jobs would; of large ones, the columns alone.

    Returns:
        The training rows that the study uses, by dataset; none of large files and of the hub's.

    Raises:
        GendistError: what those jobs would end with, or too few unlabelled or given rows.
    """
    classes: dict[str, list[str]] = {}
    rows: dict[str, int] = {}
    for name, dataset in study.datasets.items():
        if dataset.hub is None:
            counts = _require_rows(dataset)
            classes[name] = list(counts)
            if counts:
                rows[name] = sum(min(count, dataset.train_per_class or count) for count in counts.values())
        if dataset.unlabelled is not None:
            _require_unlabelled(name, dataset)
    pools = planned_pools(study)
    for generator, name, file in given_rows(study):
        wanted = pools[name, generator, study.sampling]
        _require_given(file, classes.get(name, []), wanted, generator, f"datasets.{name}.synthetic")
    return rows


def _require_rows(dataset: Dataset) -> dict[str, int]:
    """Check labelled files; returns the training rows of each class in their order, none of large files."""
    files = [Path(str(path)) for path in (dataset.train, dataset.test)]
    if sum(require_file_type(file) for file in files) <= CHECKED:
        learnt, _, names = read_labelled_rows(dataset)
        counts = Counter(learnt.labels)
        return {name: counts[number] for number, name in enumerate(names)}
    for file in files:
        _require_columns(file, reading_options(dataset), [*dataset.text, dataset.label])
    return {}


def _require_unlabelled(name: str, dataset: Dataset) -> None:
    file = Path(str(dataset.unlabelled))
    if require_file_type(file) > CHECKED:
        _require_columns(file, reading_options(dataset), dataset.text)
        return
    found = len(read_unlabelled_rows(dataset)[1])
    if found < dataset.n_unlabelled:
        key = "unlabelled_rows" if dataset.unlabelled_rows else "synthetic"
        raise GendistError(
            f"{file}: {found:,} rows, fewer than the {dataset.n_unlabelled:,} that datasets.{name}.{key} asks for; "
            f"set datasets.{name}.unlabelled_rows to {found} or fewer"
        )


def _require_given(file: Path, classes: Sequence[str], wanted: int, generator: str, key: str) -> None:
    from gendist.stages.synthetic.given_rows import TEXT, given_texts  # loads pyarrow

    if require_file_type(file) > CHECKED:
        _require_columns(file, Reading(), [TEXT])
        return
    found = len(given_texts(file, classes)[1])
    if found < wanted:
        raise GendistError(
            f"{file}: {found:,} rows, fewer than the {wanted:,} that {key} asks for (key 'generators.{generator}.rows')"
        )


def _require_columns(file: Path, reading: Reading, wanted: Sequence[str]) -> None:
    try:
        require_columns(str(file), _columns(file, reading, wanted), wanted)
    except OSError as error:
        raise GendistError(f"{file}: cannot be read ({error.strerror})") from None


def _columns(file: Path, reading: Reading, wanted: Sequence[str]) -> list[str]:
    """Return the names of a file's columns from its beginning."""
    kind = file.suffix.lower()
    if kind == ".parquet":
        from gendist.io.parquet import column_names

        return column_names(file)
    if kind == ".jsonl":
        return list(next(json_records(text_file(file), reading.encoding, wanted), (0, {}))[1])
    if reading.quoting == "auto":  # which reads all of it to decide
        reading = replace(reading, quoting="standard")
    return open_sheet(text_file(file), reading, wanted, tabs=kind == ".tsv").columns(reading.header is not False)
