"""Training loop for the stacked networks of several seeds, for GPUs."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gendist.config.student_settings import Student, Training
from gendist.jobs.progress_log import Progress
from gendist.nn import devices
from gendist.stages.students.adam import Adam
from gendist.stages.students.length_batches import apply_token_dropout, epoch_batches
from gendist.stages.students.loss import row_losses
from gendist.stages.students.piece_ids import Encoded, PieceIds, as_piece_ids
from gendist.stages.students.stacked_networks import StackedNetworks
from gendist.stages.students.train_student import TrainingSchedule, require_finite
from gendist.stages.students.training_rows import TrainingRows

log = logging.getLogger(__name__)


def train_stacked(
    networks: Sequence[torch.nn.Module],
    encoded: Encoded,
    rows: TrainingRows,
    *,
    student: Student,
    training: Training,
    seeds: Sequence[int],
    device: torch.device,
) -> None:
    """Train networks in place, each as ``train_student`` with its seed.

    Each network has its own row order, batches, losses and gradients. One random stream draws dropout and token
    dropout for all networks, so these depend on the other seeds. The loop does not sync with the device within an
    epoch.

    Args:
        networks: initialised networks of one architecture that ``can_stack``.
        encoded: piece ids of each row.
        rows: targets of each row.
        student: settings with the distillation loss and factors of the training settings.
        training: training settings.
        seeds: seed of the row order of each network.
        device: device to train on.

    Raises:
        GendistError: if a loss is not finite.
    """
    stack = StackedNetworks(networks, device)
    optimizer = Adam(stack.weights.values())
    pieces = as_piece_ids(encoded)
    device_rows = _DeviceRows.of(pieces, rows, device)
    loss_kind = None if rows.logits is None else student.distillation_loss
    lengths = pieces.lengths
    rngs = [np.random.default_rng(seed) for seed in seeds]
    torch.manual_seed(int(np.random.SeedSequence(list(seeds)).generate_state(1)[0]))
    schedule = TrainingSchedule.of(len(lengths), rows.n_real, training, student)
    progress = Progress(f"training {len(seeds)} students side by side", schedule.steps, "steps")
    step = 0
    while step < schedule.steps:
        epochs = [
            epoch_batches(
                lengths,
                training.batch_size,
                rng,
                n_real=rows.n_real,
                n_real_per_batch=schedule.n_real_per_batch,
            )
            for rng in rngs
        ]
        plan = _EpochPlan.of(epochs, lengths, schedule.steps - step, device)
        for i, max_length in enumerate(plan.max_lengths):
            indices = plan.indices[i]
            ids, mask = device_rows.padded(indices, max_length)
            if schedule.token_dropout:
                ids = apply_token_dropout(ids, mask, schedule.token_dropout)
            with devices.mixed_precision(device):
                logits = stack.forward(ids, mask).float()
            losses = row_losses(logits, device_rows.targets[indices], loss_kind, training.temperature)
            losses = (losses * plan.weights[i]).sum(1)  # (networks,)
            losses.sum().backward()
            optimizer.step(schedule.learning_rate(step))
            step += 1
            progress.update(1)
        require_finite(losses.sum().item(), training)
    stack.copy_weights_to(networks)
    last_losses = ", ".join(f"{loss:.4f}" for loss in losses.tolist())
    log.info("%d steps over %d rows, last losses %s", schedule.steps, len(lengths), last_losses)


@dataclass(frozen=True)
class _DeviceRows:
    """Piece ids and targets of all rows, on the device."""

    pieces: torch.Tensor
    """(all pieces,) int32, concatenated rows."""
    starts: torch.Tensor
    """(rows,) start offset of each row in ``pieces``."""
    lengths: torch.Tensor
    """(rows,) pieces of each row."""
    targets: torch.Tensor
    """Labels (rows,) or teacher logits (rows, classes)."""

    @classmethod
    def of(cls, pieces: PieceIds, rows: TrainingRows, device: torch.device) -> "_DeviceRows":
        targets = rows.labels if rows.logits is None else rows.logits
        if targets is None:
            raise ValueError("rows have neither labels nor logits")
        arrays = (torch.from_numpy(array) for array in (pieces.ids, pieces.ends - pieces.lengths, pieces.lengths))
        return cls(*(array.to(device) for array in (*arrays, targets)))

    def padded(self, indices: torch.Tensor, max_length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ids (int64) and mask (float32) of rows (...), each (..., max_length), zero-padded."""
        positions = torch.arange(max_length, device=indices.device)
        inside = positions < self.lengths[indices][..., None]
        offsets = (self.starts[indices][..., None] + positions).clamp_(max=len(self.pieces) - 1)
        return self.pieces[offsets].long().masked_fill_(~inside, 0), inside.float()


@dataclass(frozen=True)
class _EpochPlan:
    """Batches of one epoch for all networks."""

    indices: torch.Tensor
    """(steps, networks, batch) row indices, on the device."""
    weights: torch.Tensor
    """(steps, networks, batch) weight of each row in the batch loss; 0 for padding rows."""
    max_lengths: list[int]
    """Pieces of the longest row of each step."""

    @classmethod
    def of(
        cls, epochs: Sequence[Sequence[np.ndarray]], lengths: np.ndarray, max_steps: int, device: torch.device
    ) -> "_EpochPlan":
        """Combine the batches of each network, up to ``max_steps`` steps."""
        steps = list(zip(*epochs, strict=True))[:max_steps]
        size = max(len(batch) for step in steps for batch in step)
        indices = np.zeros((len(steps), len(epochs), size), np.int64)
        weights = np.zeros(indices.shape, np.float32)
        for i, step in enumerate(steps):
            for network, batch in enumerate(step):
                # Pad a short batch with its first row, so that padding does not increase the maximum length.
                indices[i, network] = batch[0]
                indices[i, network, : len(batch)] = batch
                weights[i, network, : len(batch)] = 1 / len(batch)
        max_lengths = lengths[indices].max((1, 2)).tolist()
        return cls(torch.from_numpy(indices).to(device), torch.from_numpy(weights).to(device), max_lengths)
