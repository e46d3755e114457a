"""Writes texts and labels as a study in a folder of its own."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gendist.cli.own_data.study_size import choose_study_size
from gendist.cli.own_data.text_rows import TextRows
from gendist.cli.own_data.train_test_split import train_test_split
from gendist.cli.own_data.unlabelled_rows import MAX_UNLABELLED, drop_labelled_texts
from gendist.config import study_from
from gendist.config.file_checks import EMBEDDED
from gendist.io.atomic_files import write_text
from gendist.naming import EXPORTED_MODEL

CONFIG, DATASET = "study.yaml", "data"
HEADER = "# Made by gendist.Classifier; do not edit, the next fit overwrites it.\n"
PATH_KEYS = ("model", "rows")
"""Settings of a generator or teacher that may be paths."""
MODEL = Path("results") / DATASET / EXPORTED_MODEL
"""Folder of the exported classifier, relative to the work folder."""


@dataclass(frozen=True)
class FitRows:
    """Rows of a fit."""

    texts: list[str]
    names: list[str]
    """Class name of each text."""
    test: tuple[list[str], list[str]] | None = None
    """Texts and class names of test rows; None splits them off the texts, as ``gendist init`` does."""
    unlabelled: list[str] | None = None


def write_training_folder(folder: Path, rows: FitRows, options: Mapping[str, Any]) -> None:
    """Write the data files and the config of a study; unchanged files are left as they are.

    Args:
        folder: created, or of an earlier fit.
        rows: the rows.
        options: ``students``, ``rows``, ``random_state``, ``generator``, ``teacher`` and ``device`` of the estimator.

    Raises:
        ValueError: if the folder is something else, or there are too few rows to split.
        GendistError: if an option is not accepted by the config.
    """
    config = folder / CONFIG
    is_empty = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    is_own = config.is_file() and config.read_text(encoding="utf-8").startswith(HEADER)
    if not (is_empty or is_own):
        raise ValueError(f"work_dir {folder} exists and is not of an earlier fit; name another folder")
    labelled = _table("texts", rows.texts, rows.names)
    train, test = labelled, labelled
    if rows.test is None:
        train_rows, test_rows = train_test_split(labelled)
        train, test = labelled.take(train_rows), labelled.take(test_rows)
        if not len(test):
            raise ValueError(
                f"{len(labelled)} texts are too few to hold some out as test rows; give test=(texts, labels)"
            )
    else:
        test = _table("test", *rows.test)
    files = {"train": train, "test": test}
    unlabelled = None
    if rows.unlabelled is not None:
        unlabelled = drop_labelled_texts(_table("unlabelled", rows.unlabelled, None), train, test)[0]
        if not len(unlabelled):
            raise ValueError("every unlabelled text is also a training or a test text; omit unlabelled")
        files["unlabelled"] = unlabelled
    content = _config(train, None if unlabelled is None else len(unlabelled), options)
    study_from(content, "Classifier")
    # The config first: it marks the folder.
    _write_changed(config, HEADER + yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    for name, table in files.items():
        lines = [
            {"row": number, "text": text, **({} if name == "unlabelled" else {"label": label})}
            for number, text, label in zip(table.numbers, table.texts, table.labels, strict=True)
        ]
        _write_changed(folder / f"{name}.jsonl", "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def _table(name: str, texts: Sequence[str], labels: Sequence[str] | None) -> TextRows:
    labels = [""] * len(texts) if labels is None else list(labels)
    return TextRows(name, "row", numbers=list(range(len(texts))), parts=[[text] for text in texts], labels=labels)


def _config(train: TextRows, n_unlabelled: int | None, options: Mapping[str, Any]) -> dict[str, Any]:
    size = choose_study_size(train.counts)
    regime = "+gendist" if n_unlabelled is None else "+gendist+unlabelled"
    systems = [f"{student}{regime}" for student in options["students"]]
    dataset: dict[str, Any] = {
        "train": "train.jsonl",
        "test": "test.jsonl",
        "train_per_class": size.train_per_class,
        "synthetic": options["rows"] or size.synthetic,
    }
    if n_unlabelled is not None:
        dataset |= {"unlabelled": "unlabelled.jsonl", "unlabelled_rows": min(n_unlabelled, MAX_UNLABELLED)}
    models = {}
    for section, given in (("generators", options["generator"]), ("teachers", options["teacher"])):
        if given is not None:
            settings = {"model": given} if isinstance(given, str) else dict(given)
            paths = {key: _absolute(settings[key]) for key in PATH_KEYS if key in settings}
            models[section] = {"given": {**settings, **paths}}
    return {
        "results": "results",
        "datasets": {DATASET: dataset},
        **models,
        "systems": systems,
        "curve_student": options["students"][0],
        "counts": [],
        "seeds": [options["random_state"]],
        "device": options["device"],
        "export": {"systems": systems},
    }


def _absolute(value: Any) -> Any:
    """Return the absolute path of a file or folder of the caller's, which the study reads from another folder."""
    is_path = isinstance(value, str) and value not in EMBEDDED and Path(value).expanduser().exists()
    return str(Path(value).expanduser().resolve()) if is_path else value


def _write_changed(path: Path, content: str) -> None:
    if not path.is_file() or path.read_bytes() != content.encode():
        write_text(path, content)
