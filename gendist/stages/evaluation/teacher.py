"""The teacher's row of the tables."""

from pathlib import Path

from gendist.errors import GendistError
from gendist.io.json_files import read_json
from gendist.stages.evaluation.collect import evaluate_logits
from gendist.stages.evaluation.runs import TIMING, RunMetadata
from gendist.stages.texts.tables import read_texts


def evaluate_teacher(
    train: Path, test: Path, logits: Path, teacher: Path, folder: Path, dataset: str, name: str, seed: int
) -> None:
    """Write the run folder of a teacher from its logits of the test rows.

    Args:
        train: real rows, for their number.
        test: test rows.
        logits: the teacher's logits of the test rows.
        teacher: finetuned folder with ``history.json`` and ``timing.json``.
        folder: run folder to write.
        dataset: name of the dataset.
        name: name of the teacher.
        seed: seed of its finetuning.

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
    evaluate_logits(test, logits, folder, row, _number(teacher / TIMING, "train_seconds"))


def _number(path: Path, key: str) -> float:
    value = read_json(path).get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise GendistError(f"{path}: damaged ('{key}' is no number); delete it and run again")
    return value
