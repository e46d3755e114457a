"""The training loop for several seeds of a student at once, made for a GPU."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gendist.config.student_settings import Student, Training
from gendist.jobs.progress_log import Progress
from gendist.nn import devices
from gendist.stages.students.adam import Adam
from gendist.stages.students.data import TrainingRows, epoch, hide_pieces
from gendist.stages.students.loss import row_losses
from gendist.stages.students.pieces import Encoded, Pieces, packed
from gendist.stages.students.stack import Stack
from gendist.stages.students.train import Schedule, require_finite

log = logging.getLogger(__name__)


def train_side_by_side(
    networks: Sequence[torch.nn.Module],
    encoded: Encoded,
    rows: TrainingRows,
    student: Student,
    training: Training,
    seeds: Sequence[int],
    device: torch.device,
) -> None:
    """Train networks in place, each as ``train_student`` would with its seed.

    Each has its own order of rows and sees its own batches, losses and gradients. Dropout and hidden pieces differ
    between them, but are drawn from one stream for all: with other seeds beside it, a network has others.
    Within an epoch nothing waits for the device: all that a step needs is there before.

    Args:
        networks: built alike with the weights that they start from; must be ``stackable``.
        encoded: piece ids of each row.
        rows: targets of each row.
        student: names the distillation loss.
        training: schedule.
        seeds: of each network, for the order of the rows.
        device: where to compute.

    Raises:
        GendistError: if a loss is no number.
    """
    stack = Stack(networks, device)
    optimizer = Adam(stack.weights.values())
    pieces = packed(encoded)
    held = _Held.of(pieces, rows, device)
    kind = None if rows.logits is None else student.distillation_loss
    sizes = pieces.lengths
    rngs = [np.random.default_rng(seed) for seed in seeds]
    torch.manual_seed(int(np.random.SeedSequence(list(seeds)).generate_state(1)[0]))
    schedule = Schedule.of(len(sizes), rows.n_real, training)
    progress = Progress(f"training {len(seeds)} students side by side", schedule.steps, "steps")
    step = 0
    while step < schedule.steps:
        orders = [epoch(sizes, training.batch_size, rng, rows.n_real, schedule.beside) for rng in rngs]
        plan = _Plan.of(orders, sizes, schedule.steps - step, device)
        for place, longest in enumerate(plan.longest):
            picks = plan.picks[place]
            ids, mask = held.padded(picks, longest)
            if training.token_dropout:
                ids = hide_pieces(ids, mask, training.token_dropout)
            with devices.mixed_precision(device):
                logits = stack.forward(ids, mask).float()
            losses = row_losses(logits, held.targets[picks], kind, training.temperature)
            losses = (losses * plan.shares[place]).sum(1)  # (networks,)
            losses.sum().backward()
            optimizer.step(schedule.learning_rate(step))
            step += 1
            progress.update(1)
        require_finite(losses.sum().item(), training)
    stack.copy_to(networks)
    told = ", ".join(f"{loss:.4f}" for loss in losses.tolist())
    log.info("%d steps over %d rows, last losses %s", schedule.steps, len(sizes), told)


@dataclass(frozen=True)
class _Held:
    """All rows on the device."""

    pieces: torch.Tensor
    """(all pieces,) int32, one row after the other."""
    starts: torch.Tensor
    lengths: torch.Tensor
    targets: torch.Tensor
    """Labels (rows,) or logits (rows, classes)."""

    @classmethod
    def of(cls, pieces: Pieces, rows: TrainingRows, device: torch.device) -> "_Held":
        targets = rows.labels if rows.logits is None else rows.logits
        if targets is None:
            raise ValueError("rows have neither labels nor logits")
        arrays = (torch.from_numpy(array) for array in (pieces.ids, pieces.ends - pieces.lengths, pieces.lengths))
        return cls(*(array.to(device) for array in (*arrays, targets)))

    def padded(self, picks: torch.Tensor, longest: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ids (int64) and mask (float32) of rows (...), each (..., longest), zero past their ends."""
        places = torch.arange(longest, device=picks.device)
        inside = places < self.lengths[picks][..., None]
        found = (self.starts[picks][..., None] + places).clamp_(max=len(self.pieces) - 1)
        return self.pieces[found].long().masked_fill_(~inside, 0), inside.float()


@dataclass(frozen=True)
class _Plan:
    """The batches of an epoch."""

    picks: torch.Tensor
    """(steps, networks, rows) numbers of rows, on the device."""
    shares: torch.Tensor
    """(steps, networks, rows): what each row counts in its batch's loss; 0 for those that fill up a short batch."""
    longest: list[int]
    """Pieces of the longest row of each step."""

    @classmethod
    def of(cls, orders: Sequence[Sequence[np.ndarray]], sizes: np.ndarray, most: int, device: torch.device) -> "_Plan":
        """Lay out at most ``most`` steps of the orders of each network."""
        steps = list(zip(*orders, strict=True))[:most]
        rows = max(len(batch) for step in steps for batch in step)
        picks = np.zeros((len(steps), len(orders), rows), np.int64)
        shares = np.zeros(picks.shape, np.float32)
        for place, step in enumerate(steps):
            for network, batch in enumerate(step):
                # A short batch is filled up with its first row: any will do, but it must not be a longer one.
                picks[place, network] = batch[0]
                picks[place, network, : len(batch)] = batch
                shares[place, network, : len(batch)] = 1 / len(batch)
        longest = sizes[picks].max((1, 2)).tolist()
        return cls(torch.from_numpy(picks).to(device), torch.from_numpy(shares).to(device), longest)
