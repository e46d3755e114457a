"""The training loop of the students."""

import logging
import math
from dataclasses import dataclass

import numpy as np
import torch

from gendist.config.student_settings import Student, Training
from gendist.errors import GendistError
from gendist.jobs.progress_log import Progress
from gendist.nn import devices
from gendist.stages.students.adam import Adam
from gendist.stages.students.data import TrainingRows, batches, hide_pieces, per_batch
from gendist.stages.students.loss import distillation_loss, label_loss
from gendist.stages.students.pieces import Encoded, packed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedule:
    """Steps of a training: they follow from the number of rows."""

    steps: int
    beside: int
    """Real rows that each batch has beside synthetic ones; 0 where rows come as they are."""
    first_rate: float

    @classmethod
    def of(cls, n_rows: int, n_real: int, training: Training) -> "Schedule":
        """Plan the training on so many rows."""
        beside = per_batch(n_real, n_rows, training.batch_size, training.real_share)
        fresh = n_rows - n_real if beside else n_rows
        steps = training.epochs * math.ceil(fresh / (training.batch_size - beside))
        steps = max(training.min_steps, min(steps, training.max_steps or steps))
        return cls(steps, beside, training.learning_rate)

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step; it falls linearly to zero over the last half."""
        return self.first_rate * min(1.0, 2 * (self.steps - step) / self.steps)


def require_finite(loss: float, training: Training) -> None:
    """Raise a ``GendistError`` for a loss that is no number."""
    if not math.isfinite(loss):
        raise GendistError(f"student training diverged; lower learning_rate (now {training.learning_rate})")


def train_student(
    network: torch.nn.Module,
    encoded: Encoded,
    rows: TrainingRows,
    student: Student,
    training: Training,
    seed: int,
    progress: Progress | None = None,
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
        progress: counts the steps, where this training is a part of something longer.
    """
    encoded = packed(encoded)
    optimizer = Adam(network.parameters())
    rng = np.random.default_rng(seed)
    schedule = Schedule.of(len(encoded), rows.n_real, training)
    progress = progress or Progress("training the student", schedule.steps, "steps")
    network.train()
    step = 0
    while step < schedule.steps:
        for ids, mask, picks in batches(encoded, training.batch_size, rng, rows.n_real, schedule.beside):
            if training.token_dropout:
                ids = hide_pieces(ids, mask, training.token_dropout)
            with devices.mixed_precision(devices.CPU):
                logits = network(ids, mask).float()
            if rows.logits is not None:
                loss = distillation_loss(logits, rows.logits[picks], student.distillation_loss, training.temperature)
            elif rows.labels is not None:
                loss = label_loss(logits, rows.labels[picks])
            loss.backward()
            optimizer.step(schedule.learning_rate(step))
            step += 1
            progress.update(1)
            if step == schedule.steps:
                break
        require_finite(loss.item(), training)
    log.info("%d steps over %d rows, last loss %.4f", schedule.steps, len(encoded), loss.item())


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
