"""Packaged starting weights of students: embeddings and filters that were trained on general text."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from gendist.config.student_settings import Student
from gendist.errors import GendistError
from gendist.nn.pocket.packaged import MODELS, STUDENTS, packaged
from gendist.stages.students.architectures import build


def general_start(student: Student) -> dict[str, Path]:
    """Return ``{"general_start": file}`` for a student that starts from packaged weights, else nothing.

    Raises:
        GendistError: if the file is missing or not the recorded one.
    """
    return {"general_start": packaged(STUDENTS[student.architecture])} if student.init == "general" else {}


def build_untrained(vectors: torch.Tensor, student: Student, classes: int, models: Path = MODELS) -> torch.nn.Module:
    """Build a student as its training starts: all weights but the classifier's may come from general text.

    Args:
        vectors: pretrained embeddings, (vocabulary, width).
        student: network and where it starts.
        classes: outputs.
        models: folder of the packaged models.

    Raises:
        GendistError: if the architecture is unknown, or the starting weights are missing or do not fit.
    """
    network = build(vectors, student, classes)
    if student.init == "vectors":
        return network
    file = packaged(STUDENTS[student.architecture], models)
    try:
        start = load_file(file)
    except (SafetensorError, OSError) as error:
        raise GendistError(f"{file}: damaged ({str(error).splitlines()[0]}); reinstall gendist") from None
    weights = network.state_dict()
    wanted = {name: tuple(value.shape) for name, value in weights.items() if not name.startswith("classifier.")}
    found = {name: tuple(value.shape) for name, value in start.items()}
    if wanted != found:
        raise GendistError(f"{file}: weights {found}, but the student has {wanted}")
    network.load_state_dict(weights | {name: value.float() for name, value in start.items()})
    return network
