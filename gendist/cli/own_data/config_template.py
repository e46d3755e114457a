"""The config of a study of one's own data, with a comment on every line that a person may want to change."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from gendist.cli.own_data.study_size import StudySize
from gendist.config.base import DEVICES
from gendist.config.study import FOLDERS
from gendist.io.delimited import Reading
from gendist.io.escape import one_line, shorten

DEFAULT_READING = Reading()


@dataclass(frozen=True)
class ConfigFields:
    """What the config names."""

    name: str
    train: str
    test: str
    text: Sequence[str]
    label: str
    reading: Reading = DEFAULT_READING
    """How both files are read."""
    unlabelled: str | None = None
    unlabelled_rows: int = 0


def dataset_name_from(path: Path) -> str:
    """Make a dataset's name, which becomes a folder, of a file's name."""
    name = re.sub("[^A-Za-z0-9_-]+", "-", path.stem).strip("-_")[:64]
    return name if is_dataset_name(name) else f"{name[:59]}-data" if name else "mydata"


def is_dataset_name(name: str) -> bool:
    """Whether a study takes a dataset of this name."""
    free = name.lower() not in DEVICES and name.lower() not in FOLDERS
    return free and bool(re.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name))


def render_config(
    named: ConfigFields, size: StudySize, source: str, train_rows: int, labels: Sequence[str], time: str
) -> str:
    """Write the config.

    Args:
        named: files and columns.
        size: numbers of rows.
        source: the file that it was made from.
        train_rows: training rows in the training file.
        labels: names of the classes.
        time: how long the study may take, in words.
    """
    text = _quote_yaml(named.text[0]) if len(named.text) == 1 else f"[{', '.join(map(_quote_yaml, named.text))}]"
    half, quarter = size.synthetic // 2, size.synthetic // 4
    lines = [
        ("", f"Made by `gendist init` from {one_line(source)}. Run it with: gendist run"),
        ("", f"Time with two cores: {time} (estimated). Every key: docs/config.md."),
        ("", ""),
        (f"results: results/{named.name}", "folder of everything that the study writes"),
        ("datasets:", ""),
        (f"  {named.name}:", "the dataset's name: letters, digits, '_' and '-'"),
        (
            f"    train: {_quote_yaml(named.train)}",
            "rows to learn from, relative to the folder where you start the run",
        ),
        (f"    test: {_quote_yaml(named.test)}", "rows to measure with; nothing is learned from them"),
        *_reading_lines(named.reading),
        (f"    text: {text}", "column of the texts; several are joined: [title, body]"),
        (f"    label: {_quote_yaml(named.label)}", f"column of the classes: {_list_classes(labels)}"),
        *_label_names_hint(labels),
        *_train_per_class_lines(size, train_rows),
        (f"    synthetic: {size.synthetic}", "texts that the generator writes; fewer are faster, more often better"),
        *_unlabelled_lines(named),
        ("", ""),
        (f"counts: [{quarter}, {half}]", "numbers of synthetic texts at which Figure 2 is drawn, beside all of them"),
        (f"sampling_rows: {min(500, size.synthetic)}", "synthetic texts for the comparison of ways to write them"),
        ("seeds: 5", "trainings per small classifier, for the ± of the tables; 3 are faster"),
    ]
    return "".join(_format_line(*line) for line in lines)


def _unlabelled_lines(named: ConfigFields) -> list[tuple[str, str]]:
    if named.unlabelled is None:
        return []
    return [
        (f"    unlabelled: {_quote_yaml(named.unlabelled)}", "texts without labels, to learn the teacher's scores of"),
        (f"    unlabelled_rows: {named.unlabelled_rows}", "so many of them, drawn at random"),
    ]


def _reading_lines(reading: Reading) -> list[tuple[str, str]]:
    """Return the lines of what is not as usual."""
    lines = []
    if reading.encoding != DEFAULT_READING.encoding:
        lines.append((f"    encoding: {reading.encoding}", "of both files"))
    if reading.delimiter is not None:
        lines.append((f"    delimiter: {json.dumps(reading.delimiter)}", "between the columns"))
    if reading.quoting != DEFAULT_READING.quoting:
        lines.append((f"    quoting: {reading.quoting}", "standard: quotes enclose fields; none: they are letters"))
    if not reading.header:
        lines.append(("    header: false", "the columns are called by their numbers"))
    return lines


def _label_names_hint(labels: Sequence[str]) -> list[tuple[str, str]]:
    """Offer names for classes that are numbers from 0."""
    if {str(number) for number in range(len(labels))} != set(labels):
        return []
    example = ", ".join(f"name-of-{number}" for number in range(min(3, len(labels))))
    return [("", f"    label_names: [{example}{', ...' if len(labels) > 3 else ''}], to name the numbered classes")]


def _train_per_class_lines(size: StudySize, train_rows: int) -> list[tuple[str, str]]:
    if size.train_per_class is None:
        why = [
            f"null: learn from all {train_rows:,} rows, since labels that are there cost nothing;",
            "a number takes that many of each class: 100, as in the paper, shows what few labels bring",
        ]
    else:
        why = [
            f"rows of each class to learn from, of {train_rows:,} in all: more take longer;",
            "null takes all of them",
        ]
    value = "null" if size.train_per_class is None else str(size.train_per_class)
    return [("", f"    {why[0]}"), ("", f"    {why[1]}"), (f"    train_per_class: {value}", "")]


def _format_line(code: str, comment: str) -> str:
    if not comment:
        return f"{code}\n"
    if not code:
        indent = len(comment) - len(comment.lstrip())
        return f"{' ' * indent}# {comment.lstrip()}\n"
    return f"{code} # {comment}\n"


def _list_classes(labels: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(shorten(name, 40) for name in sorted(labels)[:most])
    return f"{shown}, … ({len(labels)})" if len(labels) > most else shown


def _quote_yaml(text: str) -> str:
    """Write a value so that YAML reads it as this very text."""
    dumped: str = yaml.safe_dump([text], default_flow_style=True, allow_unicode=True, width=1_000_000)
    return dumped.strip()[1:-1]
