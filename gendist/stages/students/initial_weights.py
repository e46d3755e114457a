"""Initial weights of students: pretrained vectors, or packaged weights pretrained on general text."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from gendist.config.student_settings import Student
from gendist.errors import GendistError
from gendist.nn.pocket.packaged_files import MODELS, STUDENTS, verified_file
from gendist.stages.students.architectures import build


def initial_weight_files(student: Student) -> dict[str, Path]:
    """Return ``{"general_start": file}`` for provenance if a student starts from packaged weights, else ``{}``.

    Raises:
        GendistError: if the file is missing or its checksum differs.
    """
    return {"general_start": verified_file(STUDENTS[student.architecture])} if student.init == "general" else {}


def build_initialised(vectors: torch.Tensor, student: Student, classes: int, models: Path = MODELS) -> torch.nn.Module:
    """Build a student with its initial weights; ``init: general`` loads all but the classifier.

    Args:
        vectors: pretrained embeddings, (vocabulary, width).
        student: architecture and ``init``.
        classes: number of classes.
        models: folder of the packaged models.

    Raises:
        GendistError: if the architecture is unknown, or the weights are missing, damaged or of other shapes.
    """
    network = build(vectors, student, classes)
    if student.init == "vectors":
        return network
    file = verified_file(STUDENTS[student.architecture], models)
    try:
        stored = load_file(file)
    except (SafetensorError, OSError) as error:
        raise GendistError(f"{file}: damaged ({str(error).splitlines()[0]}); reinstall gendist") from None
    weights = network.state_dict()
    expected = {name: tuple(value.shape) for name, value in weights.items() if not name.startswith("classifier.")}
    found = {name: tuple(value.shape) for name, value in stored.items()}
    if expected != found:
        raise GendistError(f"{file}: weights {found}, expected {expected}")
    network.load_state_dict(weights | {name: value.float() for name, value in stored.items()})
    return network
