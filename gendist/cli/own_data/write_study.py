"""Write the config and the data files of a study (``gendist init``)."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gendist.cli.own_data.config_template import ConfigFields, render_config
from gendist.cli.own_data.input_table import ColumnRoles, InputTable
from gendist.cli.own_data.prepare_rows import PreparedRows, count_subwords
from gendist.cli.own_data.study_size import choose_study_size, estimate_seconds, format_estimate
from gendist.cli.own_data.text_rows import write_rows
from gendist.cli.own_data.unlabelled_rows import MAX_UNLABELLED
from gendist.config import study_from
from gendist.errors import GendistError
from gendist.io.atomic_files import write_text

ESTIMATED_CORES = 2
"""Cores of the time estimate."""


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
        estimate_seconds(study, used, len(prepared.test), count_subwords(prepared.train)[1]) / ESTIMATED_CORES
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
