"""Render the commented config of a study of own data."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from gendist.cli.own_data.study_size import StudySize
from gendist.config.base_settings import WINDOWS_DEVICES
from gendist.config.study import RESERVED_FOLDERS
from gendist.io.delimited_files import ReadOptions
from gendist.io.escape import collapse_whitespace, shorten

DEFAULT_READING = ReadOptions()


@dataclass(frozen=True)
class ConfigFields:
    """Files and columns of the dataset."""

    name: str
    train: str
    test: str
    text: Sequence[str]
    label: str
    reading: ReadOptions = DEFAULT_READING
    """Format options of both files."""
    unlabelled: str | None = None
    unlabelled_rows: int = 0


def dataset_name_from(path: Path) -> str:
    """Derive a dataset name, also used as a folder name, from a file name."""
    name = re.sub("[^A-Za-z0-9_-]+", "-", path.stem).strip("-_")[:64]
    return name if is_dataset_name(name) else f"{name[:59]}-data" if name else "mydata"


def is_dataset_name(name: str) -> bool:
    """Return whether a study accepts this dataset name."""
    is_reserved = name.lower() in WINDOWS_DEVICES or name.lower() in RESERVED_FOLDERS
    return not is_reserved and bool(re.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name))


def render_config(
    fields: ConfigFields, size: StudySize, *, source: str, train_rows: int, labels: Sequence[str], time: str
) -> str:
    """Return the config as YAML.

    Args:
        fields: files and columns.
        size: numbers of rows.
        source: the user's file.
        train_rows: rows of the training file.
        labels: class names.
        time: estimated time, in words.
    """
    text = _quote_yaml(fields.text[0]) if len(fields.text) == 1 else f"[{', '.join(map(_quote_yaml, fields.text))}]"
    half, quarter = size.synthetic // 2, size.synthetic // 4
    lines = [
        ("", f"Made by `gendist init` from {collapse_whitespace(source)}. Run it with: gendist run"),
        ("", f"Time with two cores: {time} (estimated). Every key: docs/config.md."),
        ("", ""),
        (f"results: results/{fields.name}", "output folder"),
        ("datasets:", ""),
        (f"  {_quote_yaml(fields.name)}:", "the dataset's name: letters, digits, '_' and '-'"),
        (
            f"    train: {_quote_yaml(fields.train)}",
            "training rows; relative to the working directory of the run",
        ),
        (f"    test: {_quote_yaml(fields.test)}", "test rows, for evaluation only"),
        *_reading_lines(fields.reading),
        (f"    text: {text}", "text column; several are joined: [title, body]"),
        (f"    label: {_quote_yaml(fields.label)}", f"label column: {_list_classes(labels)}"),
        *_label_names_hint(labels),
        *_train_per_class_lines(size, train_rows),
        (f"    synthetic: {size.synthetic}", "number of generated texts; fewer are faster, more are often better"),
        *_unlabelled_lines(fields),
        ("", ""),
        (f"counts: [{quarter}, {half}]", "numbers of synthetic texts in Figure 2, besides all of them"),
        (f"sampling_rows: {min(500, size.synthetic)}", "synthetic texts for the comparison of sampling strategies"),
        ("seeds: 5", "runs per student, for the ± of the tables; 3 are faster"),
    ]
    return "".join(_format_line(*line) for line in lines)


def _unlabelled_lines(fields: ConfigFields) -> list[tuple[str, str]]:
    if fields.unlabelled is None:
        return []
    return [
        (f"    unlabelled: {_quote_yaml(fields.unlabelled)}", "unlabelled texts, for distillation"),
        (f"    unlabelled_rows: {fields.unlabelled_rows}", "random sample of this size"),
    ]


def _reading_lines(reading: ReadOptions) -> list[tuple[str, str]]:
    """Return a line per format option that differs from the default."""
    lines = []
    if reading.encoding != DEFAULT_READING.encoding:
        lines.append((f"    encoding: {reading.encoding}", "encoding of both files"))
    if reading.delimiter is not None:
        lines.append((f"    delimiter: {json.dumps(reading.delimiter)}", "delimiter of both files"))
    if reading.quoting != DEFAULT_READING.quoting:
        lines.append((f"    quoting: {reading.quoting}", "standard: quotes enclose fields; none: ordinary characters"))
    if not reading.header:
        lines.append(("    header: false", "columns are named by their numbers"))
    return lines


def _label_names_hint(labels: Sequence[str]) -> list[tuple[str, str]]:
    """Suggest ``label_names`` if the labels are the numbers from 0."""
    if {str(number) for number in range(len(labels))} != set(labels):
        return []
    example = ", ".join(f"name-of-{number}" for number in range(min(3, len(labels))))
    return [("", f"    label_names: [{example}{', ...' if len(labels) > 3 else ''}], to name the numbered classes")]


def _train_per_class_lines(size: StudySize, train_rows: int) -> list[tuple[str, str]]:
    if size.train_per_class is None:
        reason = [
            f"null: use all {train_rows:,} rows;",
            "a number samples that many per class: 100 in the paper, to study few labels",
        ]
    else:
        reason = [
            f"training rows per class, of {train_rows:,} rows in total: more take longer;",
            "null: use all of them",
        ]
    value = "null" if size.train_per_class is None else str(size.train_per_class)
    return [("", f"    {reason[0]}"), ("", f"    {reason[1]}"), (f"    train_per_class: {value}", "")]


def _format_line(code: str, comment: str) -> str:
    if not comment:
        return f"{code}\n"
    if not code:
        indent = len(comment) - len(comment.lstrip())
        return f"{' ' * indent}# {comment.lstrip()}\n"
    return f"{code} # {comment}\n"


def _list_classes(labels: Sequence[str], limit: int = 8) -> str:
    shown = ", ".join(shorten(name, 40) for name in sorted(labels)[:limit])
    return f"{shown}, … ({len(labels)})" if len(labels) > limit else shown


def _quote_yaml(text: str) -> str:
    """Quote a text so that YAML parses it as the same string."""
    dumped: str = yaml.safe_dump([text], default_flow_style=True, allow_unicode=True, width=1_000_000)
    return dumped.strip()[1:-1]
