"""Evaluate a teacher from its logits."""

from pathlib import Path
from typing import Any

import numpy as np

from gendist.errors import GendistError
from gendist.io.json_files import read_json
from gendist.io.provenance import Provenance, hash_file
from gendist.stages.evaluation.run_folder import TIMING, RunMetadata, write_run
from gendist.stages.logits.logits_files import read_logits
from gendist.stages.texts.text_tables import read_texts


def evaluate_teacher(
    *, train: Path, test: Path, logits: Path, teacher: Path, folder: Path, dataset: str, name: str, seed: int
) -> None:
    """Write the run folder of a teacher from its logits of the test rows.

    Args:
        train: labelled rows, to count them.
        test: test rows.
        logits: the teacher's logits of the test rows.
        teacher: folder of the finetuned teacher with ``history.json`` and ``timing.json``.
        folder: run folder to write.
        dataset: name of the dataset.
        name: name of the teacher.
        seed: seed of the finetuning.

    Raises:
        GendistError: if a file is missing or damaged.
    """
    row = RunMetadata(
        dataset=dataset,
        system="teacher",
        n_real=len(read_texts(train).texts),
        teacher=name,
        seed=seed,
        n_parameters=int(_number(teacher / "history.json", "n_parameters")),
        variant=name,
    )
    evaluate_logits(test, logits, folder, row=row, train_seconds=_number(teacher / TIMING, "train_seconds"))


def evaluate_logits(
    test_texts: Path, logits: Path, folder: Path, *, row: RunMetadata, train_seconds: float
) -> dict[str, Any]:
    """Evaluate logits on the test rows and write the run folder.

    Args:
        test_texts: texts file with the gold labels.
        logits: logits file with the same ids in any order.
        folder: run folder to write.
        row: identity of the run.
        train_seconds: wall time of the training.

    Returns:
        The content of ``metrics.json``.

    Raises:
        GendistError: if a file is missing or damaged, or the ids or classes of the two files differ.
    """
    texts = read_texts(test_texts)
    ids, matrix = read_logits([logits], "id")
    order = np.argsort(ids)
    target_order = np.argsort(texts.ids)
    if not np.array_equal(ids[order], texts.ids[target_order]):
        raise GendistError(f"{logits}: ids differ from those of {test_texts}")
    if matrix.shape[1] != len(texts.label_names):
        raise GendistError(f"{logits}: {matrix.shape[1]} classes, but {test_texts} names {len(texts.label_names)}")
    matched = np.empty_like(matrix)  # (rows, classes) in the order of the texts
    matched[target_order] = matrix[order]
    provenance = Provenance("evaluation", inputs={"texts": hash_file(test_texts), "logits": hash_file(logits)})
    return write_run(
        folder,
        row,
        ids=texts.ids,
        labels=texts.labels,
        predicted=matched.argmax(axis=1),
        logits=matched,
        provenance=provenance,
        train_seconds=train_seconds,
    )


def _number(path: Path, key: str) -> float:
    value = read_json(path).get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise GendistError(f"{path}: damaged ('{key}' is not a number); delete it and rerun")
    return value
