"""Training loop of the generator, with early stopping and resuming from checkpoints."""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch

from gendist.config.generator_settings import Generator
from gendist.errors import GendistError
from gendist.jobs import out_of_memory
from gendist.jobs.checkpoints import Checkpoints
from gendist.jobs.progress_log import Progress
from gendist.nn import devices
from gendist.nn.padding import pad_batch
from gendist.nn.pretrained import choose_attention
from gendist.stages.generator.cuda_graph_backward import CudaGraphBackward, can_capture
from gendist.stages.generator.loss import summed_loss
from gendist.stages.generator.training_sequences import random_windows, shuffled_rows

log = logging.getLogger(__name__)

MICRO_BATCH_TOKENS, MICRO_BATCH_TOKENS_BF16 = 256, 1024
"""Tokens of a micro-batch on a CPU: the activations of few fit in its cache; bf16 products are fast only for many."""
EVALUATION_BATCH = 16


@dataclass
class TrainingState:
    """Progress of a finetuning: plain values that a checkpoint stores."""

    step: int = 0
    batch: int = 0
    """Batches of the current epoch so far."""
    nats: float = 0.0
    """Sum of the losses of those batches."""
    tokens: int = 0
    """Predicted tokens in them."""
    order: dict[str, Any] = field(default_factory=dict)
    """State of the batches' random generator at the start of the epoch."""
    history: list[tuple[int, float, float]] = field(default_factory=list)
    """Epoch, training loss and held-out loss in nats per token."""
    best: float = math.inf
    worse: int = 0
    """Epochs since the best one."""
    rows: int | None = None
    """Rows per micro-batch after memory ran out; None for the default."""


class _UnreadLosses:
    """Losses that a GPU may still compute, until they are added to the training state."""

    def __init__(self, state: TrainingState) -> None:
        self.state, self.last = state, math.nan
        self._losses: list[torch.Tensor] = []
        self._tokens = 0

    def add(self, losses: list[torch.Tensor], tokens: int) -> None:
        """Add the summed losses of a batch's parts, and its number of predicted tokens."""
        self._losses, self._tokens = losses, tokens

    def read(self) -> None:
        """Wait for the losses and add them to the state."""
        if self._losses:
            nats = sum(loss.item() for loss in self._losses)
            self.last = nats / self._tokens
            self.state.nats, self.state.tokens = self.state.nats + nats, self.state.tokens + self._tokens
            self._losses = []


def _batches(
    rows: Sequence[list[int]], limit: int, start: int, rng: np.random.Generator, *, settings: Generator
) -> Iterator[list[list[int]]]:
    """Yield one epoch of batches."""
    stream = random_windows(rows, limit, start, rng) if settings.unit == "windows" else shuffled_rows(rows, rng)
    while batch := list(islice(stream, settings.batch_size)):
        yield batch


def _losses(
    model: Any, batch: list[list[int]], device: torch.device, rows: int | None = None
) -> Iterator[torch.Tensor]:
    """Yield the summed negative log-likelihood, in nats, of each micro-batch of at most ``rows`` rows."""
    batch = sorted(batch, key=len)  # rows of similar length need little padding
    rows = min(rows or len(batch), _micro_batch_rows(batch, device))
    for i in range(0, len(batch), rows):
        part = batch[i : i + rows]
        ids, mask = _copy_to(device, *pad_batch(part))
        no_padding = device.type == "cuda" and len(part[0]) == len(part[-1])
        with devices.mixed_precision(device):
            loss = summed_loss(model, ids, None if no_padding else mask)
        yield loss


def _copy_to(device: torch.device, *tensors: torch.Tensor) -> Iterator[torch.Tensor]:
    """Copy tensors of the CPU; a GPU's previous work is not waited for."""
    pinned = device.type == "cuda"
    yield from ((part.pin_memory() if pinned else part).to(device, non_blocking=pinned) for part in tensors)


def _micro_batch_rows(batch: list[list[int]], device: torch.device) -> int:
    if device.type == "cuda":
        return len(batch)
    tokens = MICRO_BATCH_TOKENS_BF16 if devices.cpu_has_bf16() else MICRO_BATCH_TOKENS
    return max(1, tokens // max(map(len, batch)))


def _batch_losses(
    model: Any,
    batch: list[list[int]],
    device: torch.device,
    rows: int | None,
    *,
    tokens: int | None = None,
    captured: CudaGraphBackward | None = None,
) -> tuple[list[torch.Tensor], int | None]:
    """Compute the losses of a batch and, given ``tokens``, accumulate the gradient of the mean loss per token.

    When memory runs out, the batch is repeated with half the micro-batch; only dropout differs then.

    Args:
        model: causal language model.
        batch: token ids of the rows.
        device: device of the model.
        rows: rows per micro-batch; None for the default.
        tokens: predicted tokens of the batch; None computes no gradient.
        captured: computes a whole batch of windows, if it can.

    Returns:
        Loss of each micro-batch in nats, on the device, and the micro-batch to use from now on.

    Raises:
        GendistError: if memory runs out with one row.
    """
    if captured is not None and rows is None and (loss := captured(torch.tensor(batch))) is not None:
        return [loss], rows
    while True:
        losses: list[torch.Tensor] = []
        try:
            for loss in _losses(model, batch, device, rows):
                if tokens is not None:
                    (loss / tokens).backward()
                losses.append(loss.detach())
            return losses, rows
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory.is_out_of_memory(error):
                raise
        if captured is not None:
            captured.disable()
        model.zero_grad()
        out_of_memory.release_memory()
        tried = min(rows or len(batch), _micro_batch_rows(batch, device))
        if tried == 1:
            raise GendistError(
                "out of memory with one row at a time; lower window of the generator, set gradient_checkpointing "
                "or trainable: blocks, or give the job more memory"
            )
        rows = tried // 2
        log.info("out of memory with micro-batches of %d rows; continuing with %d", tried, rows)


@torch.no_grad()
def nats_per_token(model: Any, rows: Sequence[list[int]]) -> float:
    """Return the mean negative log-likelihood per predicted token, in nats, without dropout."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    total, micro_batch = 0.0, None
    for i in range(0, len(rows), EVALUATION_BATCH):
        losses, micro_batch = _batch_losses(model, list(rows[i : i + EVALUATION_BATCH]), device, micro_batch)
        total += sum(loss.item() for loss in losses)
    model.train(was_training)
    return total / sum(len(row) - 1 for row in rows)


def train_model(
    model: Any,
    rows: list[list[int]],
    held_out: list[list[int]],
    *,
    limit: int,
    start: int,
    rng: np.random.Generator,
    settings: Generator,
    checkpoints: Checkpoints[TrainingState],
    member: int = 0,
) -> None:
    """Train a model in place, resuming from the last checkpoint; the model ends with its best weights.

    Args:
        model: causal language model.
        rows: token ids of the training rows.
        held_out: token ids of the rows for early stopping; empty to train all epochs.
        limit: maximum length of a training sequence.
        start: id of the start token.
        rng: random generator of the batches.
        settings: optimiser and schedule.
        checkpoints: checkpoints of this training.
        member: number of this model, if several are finetuned, for the progress log.

    Raises:
        GendistError: if training diverges, or memory runs out with one row.
        Stopped: if the job was asked to stop; a checkpoint is saved first.
    """
    device = next(model.parameters()).device
    choose_attention(model, limit)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=settings.learning_rate, fused=True)
    per_epoch = sum(1 for _ in _batches(rows, limit, start, np.random.default_rng(0), settings=settings))
    steps = max(1, round(settings.epochs * per_epoch))
    state = checkpoints.state
    if checkpoints.restore(model, optimizer):
        log.info("resuming from step %d of %d", state.step, steps)
    else:
        _start_history(model, held_out, steps, checkpoints)
    done = member * steps + state.step
    progress = Progress("finetuning the generator", settings.finetunes * steps, "steps", initial=done)
    model.train()
    captured = CudaGraphBackward(model) if settings.unit == "windows" and can_capture(model) else None
    unread = _UnreadLosses(state)
    while state.batch or (state.step < steps and state.worse < settings.patience):
        if state.batch:
            rng.bit_generator.state = state.order
        else:
            state.order = dict(rng.bit_generator.state)
        batches = _batches(rows, limit, start, rng, settings=settings)
        for batch in islice(batches, state.batch, state.batch + steps - state.step):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * learning_rate_factor(state.step, steps, settings)
            predicted = sum(len(row) - 1 for row in batch)
            losses, state.rows = _batch_losses(model, batch, device, state.rows, tokens=predicted, captured=captured)
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=captured is None or not captured.enabled)
            state.step, state.batch = state.step + 1, state.batch + 1
            unread.read()  # of the step before: a GPU has the next one to compute meanwhile
            unread.add(losses, predicted)
            progress.update(1, f"{unread.last:.3f} nats per token" if state.tokens else "")
            checkpoints.after_step(state.step, steps, unread.read)
        unread.read()
        _end_epoch(model, held_out, settings, checkpoints)
    if not all(torch.isfinite(p).all() for p in trained):
        raise _diverged(state, settings)
    with torch.no_grad():
        for name, value in checkpoints.extra_weights.items():
            model.get_parameter(name).copy_(value)


def _start_history(model: Any, held_out: list[list[int]], steps: int, checkpoints: Checkpoints[TrainingState]) -> None:
    """Record the held-out loss before training; the initial weights are the best so far."""
    state, before = checkpoints.state, math.nan
    if held_out:
        before = state.best = nats_per_token(model, held_out)
        checkpoints.extra_weights = _snapshot(model)
    weights = sum(p.numel() for p in model.parameters() if p.requires_grad)
    loss = f", held out {before:.3f} nats per token" if held_out else ""
    log.info("%d trainable weights, %d steps%s", weights, steps, loss)
    state.history.append((0, math.nan, before))


def _end_epoch(
    model: Any, held_out: list[list[int]], settings: Generator, checkpoints: Checkpoints[TrainingState]
) -> None:
    """Record the losses of an epoch; keep a snapshot of the weights if they are the best so far."""
    state = checkpoints.state
    if not math.isfinite(state.nats):
        raise _diverged(state, settings)
    held_out_loss = nats_per_token(model, held_out) if held_out else math.nan
    state.history.append((len(state.history), state.nats / state.tokens, held_out_loss))
    held = f", held out {held_out_loss:.3f}" if held_out else ""
    log.info("epoch %d: train %.3f%s nats per token", *state.history[-1][:2], held)
    if held_out and held_out_loss < state.best:
        state.best, state.worse = held_out_loss, 0
        checkpoints.extra_weights = _snapshot(model)
    elif held_out:
        state.worse += 1
    state.batch, state.nats, state.tokens = 0, 0.0, 0


def _diverged(state: TrainingState, settings: Generator) -> GendistError:
    return GendistError(f"finetuning diverged at step {state.step}; lower learning_rate (now {settings.learning_rate})")


def _snapshot(model: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def learning_rate_factor(step: int, steps: int, settings: Generator) -> float:
    """Return the learning-rate factor of a step, in (0, 1]: linear warm-up, then constant or linear decay."""
    warmup = settings.warmup * steps
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    return rise if settings.schedule == "constant" else min(rise, (steps - step) / max(1.0, steps - warmup))
