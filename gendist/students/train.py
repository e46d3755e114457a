"""The training loop of the students."""

import logging
import math

import numpy as np
import torch

from gendist import devices
from gendist.errors import GendistError
from gendist.progress import Progress
from gendist.students.adam import Adam
from gendist.students.data import TrainingRows, batches, hide_pieces, per_batch
from gendist.students.loss import distillation_loss, label_loss
from gendist.students.pieces import Encoded, packed
from gendist.students.settings import Student, Training

log = logging.getLogger(__name__)


def train_student(
    network: torch.nn.Module,
    encoded: Encoded,
    rows: TrainingRows,
    student: Student,
    training: Training,
    seed: int,
) -> None:
    """Train in place with Adam for a fixed number of steps, and keep the last weights.

    Nothing is selected on any data: the number of steps follows from the number of rows, the
    learning rate falls linearly to zero over the last half.

    Args:
        network: from ``architectures.build``.
        encoded: piece ids of each row.
        rows: targets of each row.
        student: names the distillation loss.
        training: schedule.
        seed: of the order of the rows (dropout and hidden pieces follow torch's own seed).
    """
    encoded = packed(encoded)
    optimizer = Adam(network.parameters())
    rng = np.random.default_rng(seed)
    beside = per_batch(rows.n_real, len(encoded), training.batch_size, training.real_share)
    fresh = len(encoded) - rows.n_real if beside else len(encoded)
    steps = training.epochs * math.ceil(fresh / (training.batch_size - beside))
    steps = max(training.min_steps, min(steps, training.max_steps or steps))
    progress = Progress("training the student", steps, "steps")
    network.train()
    step = 0
    while step < steps:
        for ids, mask, picks in batches(encoded, training.batch_size, rng, rows.n_real, beside):
            if training.token_dropout:
                ids = hide_pieces(ids, mask, training.token_dropout)
            with devices.mixed_precision(devices.CPU):
                logits = network(ids, mask).float()
            if rows.logits is not None:
                loss = distillation_loss(logits, rows.logits[picks], student.distillation_loss, training.temperature)
            elif rows.labels is not None:
                loss = label_loss(logits, rows.labels[picks])
            loss.backward()
            optimizer.step(training.learning_rate * min(1.0, 2 * (steps - step) / steps))
            step += 1
            progress.add(1)
            if step == steps:
                break
        if not math.isfinite(loss.item()):
            raise GendistError(f"student training diverged; lower learning_rate (now {training.learning_rate})")
    log.info("%d steps over %d rows, last loss %.4f", steps, len(encoded), loss.item())


@torch.inference_mode()
def student_logits(network: torch.nn.Module, encoded: Encoded, batch_size: int = 256) -> np.ndarray:
    """Return float32 logits (rows, classes) in the order of the rows."""
    network.eval()
    rows = packed(encoded)
    order = np.argsort(rows.lengths, kind="stable")
    parts = []
    for i in range(0, len(order), batch_size):
        parts.append(network(*rows.padded(order[i : i + batch_size])).numpy())
    logits = np.concatenate(parts)
    return logits[np.argsort(order)]
