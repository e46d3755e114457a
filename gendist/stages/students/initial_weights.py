"""Initial weights of students: pretrained vectors, or packaged weights pretrained on general text."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from gendist.config.student_settings import Student, Training
from gendist.errors import GendistError
from gendist.nn.pocket.packaged_files import MODELS, STUDENTS, verified_file
from gendist.nn.pocket.weight_quantization import dequantize
from gendist.stages.students.architectures import build
from gendist.stages.students.length_batches import real_rows_per_batch
from gendist.stages.students.linear_probe import fit_linear_probe
from gendist.stages.students.piece_ids import PieceIds
from gendist.stages.students.training_rows import TrainingRows
from gendist.stages.students.wide_kim import WideFeatures, WideKim

HEAD = "head."
"""Prefix of the weights of Kim's linear map from features to the encoder's embedding."""
MAX_PROBE_ROWS = 20_000
"""Synthetic rows that the linear probe is fitted to, at most."""
PROBE_BATCH = 256


def initial_weight_files(student: Student) -> dict[str, Path]:
    """Return ``{"general_start": file}`` for provenance if a student starts from packaged weights, else ``{}``.

    Raises:
        GendistError: if the file is missing or its checksum differs.
    """
    return {"general_start": verified_file(STUDENTS[student.architecture])} if student.init == "general" else {}


def network_builder(
    vectors: torch.Tensor,
    student: Student,
    classes: int,
    *,
    encoded: PieceIds,
    rows: TrainingRows,
    training: Training,
    models: Path = MODELS,
) -> Callable[[], nn.Module]:
    """Return a function that builds a network with the initial weights of a student.

    Args:
        vectors: pretrained embeddings, (vocabulary, width).
        student: architecture and ``init``.
        classes: number of classes.
        encoded: piece ids of each training row.
        rows: targets of each training row.
        training: training settings.
        models: folder of the packaged models.

    Raises:
        GendistError: if the architecture is unknown, or the weights are missing, damaged or of other shapes.
    """
    if student.init == "vectors":
        return partial(build, vectors, student, classes)
    file = verified_file(STUDENTS[student.architecture], models)
    try:
        stored = load_file(file)
    except (SafetensorError, OSError) as error:
        raise GendistError(f"{file}: damaged ({str(error).splitlines()[0]}); reinstall gendist") from None
    if student.architecture != "kim":
        return partial(_build_started, vectors, student, classes, weights=stored, file=file)
    start, head = wide_start(dequantize(stored), student, pieces=len(vectors), file=file)
    probe = _fit_probe(start, head, classes, encoded=encoded, rows=rows, training=student.adjusted(training))
    return partial(WideKim, start, np.unique(encoded.ids).tolist(), student, probe)


def _build_started(
    vectors: torch.Tensor, student: Student, classes: int, *, weights: dict[str, torch.Tensor], file: Path
) -> nn.Module:
    """Build a student and load all weights but the classifier's."""
    network = build(vectors, student, classes)
    _load_weights(network, weights, file, optional="classifier.")
    return network


def wide_start(
    weights: dict[str, torch.Tensor], student: Student, *, pieces: int, file: Path
) -> tuple[WideFeatures, nn.Linear]:
    """Return Kim's pretrained features and the linear map from [pooled, mean] to the encoder's embedding."""
    table = weights.get("embedding.weight", torch.zeros(0, 0))
    head_weight = weights.get(f"{HEAD}weight", torch.zeros(0, 0))
    if table.shape[0] != pieces or table.ndim != 2 or head_weight.ndim != 2 or not len(head_weight):
        raise GendistError(
            f"{file}: weights {_shapes(weights)}, expected an embedding of {pieces} pieces and a head; "
            "reinstall gendist"
        )
    start = WideFeatures(table, student.filters).eval()
    head = nn.Linear(start.width, len(head_weight))
    _load_weights(start, {name: value for name, value in weights.items() if not name.startswith(HEAD)}, file)
    _load_weights(head, {name.removeprefix(HEAD): v for name, v in weights.items() if name.startswith(HEAD)}, file)
    return start, head


def _load_weights(network: nn.Module, stored: dict[str, torch.Tensor], file: Path, optional: str | None = None) -> None:
    """Load weights of exactly the network's names and shapes, apart from those with the prefix ``optional``."""
    weights = network.state_dict()
    needed = {name: value for name, value in weights.items() if not (optional and name.startswith(optional))}
    if _shapes(needed) != _shapes(stored):
        raise GendistError(f"{file}: weights {_shapes(stored)}, expected {_shapes(needed)}; reinstall gendist")
    network.load_state_dict(weights | {name: value.float() for name, value in stored.items()})


def _shapes(weights: dict[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in weights.items()}


@torch.no_grad()
def _fit_probe(
    start: WideFeatures,
    head: nn.Linear,
    classes: int,
    *,
    encoded: PieceIds,
    rows: TrainingRows,
    training: Training,
) -> nn.Linear:
    """Fit a classifier of the predicted embeddings, and return it as one of the features."""
    chosen, weights = _probe_rows(rows, training)
    predicted = np.empty((len(chosen), head.out_features), np.float32)
    order = np.argsort(encoded.lengths[chosen], kind="stable")
    for first in range(0, len(order), PROBE_BATCH):
        batch = order[first : first + PROBE_BATCH]
        predicted[batch] = head(torch.cat(start(*encoded.padded(chosen[batch])), 1)).numpy()
    if rows.logits is not None:
        targets = functional.softmax(rows.logits[chosen].float() / training.temperature, 1)
        scale = training.temperature
    elif rows.labels is not None:
        targets, scale = functional.one_hot(rows.labels[chosen].long(), classes).float(), 1.0
    else:
        raise ValueError("rows have neither labels nor logits")
    fitted = fit_linear_probe(predicted, targets.numpy(), weights)
    of_embedding, bias = (torch.from_numpy(value) * scale for value in fitted)
    probe = nn.Linear(head.in_features, classes)
    probe.weight.copy_(of_embedding @ head.weight)
    probe.bias.copy_(bias + of_embedding @ head.bias)
    return probe


def _probe_rows(rows: TrainingRows, training: Training) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that the probe is fitted to, with their weights: shares of real rows are those of training."""
    n_other = len(rows.texts) - rows.n_real
    others = rows.n_real + np.random.default_rng(0).permutation(n_other)[:MAX_PROBE_ROWS]
    chosen = np.sort(np.append(np.arange(rows.n_real), others)).astype(np.int64)
    per_batch = real_rows_per_batch(rows.n_real, len(rows.texts), training.batch_size, training.real_share)
    weights = np.ones(len(chosen))
    if per_batch:
        weights[: rows.n_real] = per_batch / rows.n_real
        weights[rows.n_real :] = (training.batch_size - per_batch) / len(others)
    return chosen, weights
