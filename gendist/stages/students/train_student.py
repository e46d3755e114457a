"""Training loop for one student."""

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
from gendist.stages.students.length_batches import apply_token_dropout, iter_batches, real_rows_per_batch
from gendist.stages.students.loss import distillation_loss, label_loss
from gendist.stages.students.piece_ids import Encoded, as_piece_ids
from gendist.stages.students.training_rows import TrainingRows

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingSchedule:
    """Number of steps, batch composition, learning rate and token dropout of a training."""

    steps: int
    """Optimizer steps."""
    n_real_per_batch: int
    """Real rows in each mixed batch; 0 if rows are not mixed by share."""
    peak_rate: float
    """Learning rate of the first half of the steps."""
    token_dropout: float
    """Mean share of dropped pieces."""

    @classmethod
    def of(cls, n_rows: int, n_real: int, training: Training, student: Student) -> "TrainingSchedule":
        """Derive the schedule from the number of rows, the training settings, and the student's factors for them."""
        training = student.adjusted(training)
        n_real_per_batch = real_rows_per_batch(n_real, n_rows, training.batch_size, training.real_share)
        per_epoch = n_rows - n_real if n_real_per_batch else n_rows
        steps = training.steps(math.ceil(per_epoch / (training.batch_size - n_real_per_batch)), n_real)
        return cls(steps, n_real_per_batch, training.learning_rate, training.token_dropout)

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step: constant, then linear decay to zero over the last half."""
        return self.peak_rate * min(1.0, 2 * (self.steps - step) / self.steps)


def require_finite(loss: float, training: Training) -> None:
    """Raise ``GendistError`` if the loss is not finite."""
    if not math.isfinite(loss):
        raise GendistError(f"student training diverged; lower learning_rate (now {training.learning_rate})")


def train_student(
    network: torch.nn.Module,
    encoded: Encoded,
    rows: TrainingRows,
    *,
    student: Student,
    training: Training,
    seed: int,
    progress: Progress | None = None,
) -> None:
    """Train a network in place with Adam for a fixed number of steps.

    The final weights are kept: no held-out data selects a checkpoint.

    Args:
        network: network to train, from ``network_builder``.
        encoded: piece ids of each row.
        rows: targets of each row.
        student: settings with the distillation loss and factors of the training settings.
        training: training settings.
        seed: seed of the row order; dropout uses the global torch generator.
        progress: step counter of a longer job; None creates one.

    Raises:
        GendistError: if the loss is not finite.
    """
    encoded = as_piece_ids(encoded)
    optimizer = Adam(network.parameters())
    rng = np.random.default_rng(seed)
    schedule = TrainingSchedule.of(len(encoded), rows.n_real, training, student)
    progress = progress or Progress("training the student", schedule.steps, "steps")
    network.train()
    step = 0
    while step < schedule.steps:
        for ids, mask, indices in iter_batches(
            encoded, training.batch_size, rng, n_real=rows.n_real, n_real_per_batch=schedule.n_real_per_batch
        ):
            if schedule.token_dropout:
                ids = apply_token_dropout(ids, mask, schedule.token_dropout)
            with devices.mixed_precision(devices.CPU):
                logits = network(ids, mask).float()
            if rows.logits is not None:
                loss = distillation_loss(logits, rows.logits[indices], student.distillation_loss, training.temperature)
            elif rows.labels is not None:
                loss = label_loss(logits, rows.labels[indices])
            loss.backward()
            optimizer.step(schedule.learning_rate(step))
            step += 1
            progress.update(1)
            if step == schedule.steps:
                break
        require_finite(loss.item(), training)
    log.info("%d steps over %d rows, last loss %.4f", schedule.steps, len(encoded), loss.item())


@torch.inference_mode()
def predict_student(network: torch.nn.Module, encoded: Encoded, batch_size: int = 256) -> np.ndarray:
    """Return float32 logits (rows, classes), in input order."""
    network.eval()
    rows = as_piece_ids(encoded)
    order = np.argsort(rows.lengths, kind="stable")
    parts = []
    for i in range(0, len(order), batch_size):
        parts.append(network(*rows.padded(order[i : i + batch_size])).numpy())
    logits = np.concatenate(parts)
    return logits[np.argsort(order)]
