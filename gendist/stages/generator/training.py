"""The training loop of the generator, which goes on from its last checkpoint."""

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
from gendist.nn.padding import padded
from gendist.nn.pretrained import choose_attention
from gendist.stages.generator import sequences
from gendist.stages.generator.loss import summed_loss

log = logging.getLogger(__name__)

SLICE_TOKENS, SLICE_TOKENS_BF16 = 256, 1024
"""Tokens that a CPU takes through the model at once: activations of few stay in its cache, but products in bf16
are fast for many only."""


@dataclass
class Course:
    """How far a finetuning is and what it has measured: plain values, which a checkpoint keeps."""

    step: int = 0
    batch: int = 0
    """Batches of the epoch so far."""
    nats: float = 0.0
    """Loss of those batches."""
    tokens: int = 0
    """Tokens predicted in them."""
    order: dict[str, Any] = field(default_factory=dict)
    """State of the random generator of batches at the start of the epoch."""
    history: list[tuple[int, float, float]] = field(default_factory=list)
    """Epoch, and nats per token on the rows trained on and on those held out."""
    best: float = math.inf
    worse: int = 0
    """Epochs since the best."""
    rows: int | None = None
    """Rows taken through the model at once; None for as many as suit the device."""


def _batches(
    rows: Sequence[list[int]], limit: int, start: int, rng: np.random.Generator, settings: Generator
) -> Iterator[list[list[int]]]:
    """Yield one epoch of batches."""
    stream = sequences.windows(rows, limit, start, rng) if settings.unit == "windows" else sequences.examples(rows, rng)
    while batch := list(islice(stream, settings.batch_size)):
        yield batch


def _losses(
    model: Any, batch: list[list[int]], device: torch.device, rows: int | None = None
) -> Iterator[torch.Tensor]:
    """Yield the summed negative log-likelihoods, in nats, of slices of ``rows`` rows of a batch.

    A CPU takes a few rows at a time: activations of a whole batch fit no cache.
    """
    batch = sorted(batch, key=len)  # slices of rows of like length need little padding
    rows = min(rows or len(batch), _slice_rows(batch, device))
    for i in range(0, len(batch), rows):
        part = batch[i : i + rows]
        ids, mask = (tensor.to(device) for tensor in padded(part))
        whole = device.type == "cuda" and len(part[0]) == len(part[-1])
        with devices.mixed_precision(device):
            loss = summed_loss(model, ids, None if whole else mask)
        yield loss


def _slice_rows(batch: list[list[int]], device: torch.device) -> int:
    if device.type == "cuda":
        return len(batch)
    tokens = SLICE_TOKENS_BF16 if devices.cpu_has_bf16() else SLICE_TOKENS
    return max(1, tokens // max(map(len, batch)))


def _nats(
    model: Any, batch: list[list[int]], device: torch.device, rows: int | None, tokens: int | None = None
) -> tuple[list[torch.Tensor], int | None]:
    """Take the losses of a batch, ``rows`` rows at once; with ``tokens``, add the gradient of their mean.

    When memory runs out, slices become half as big: the loss is the same sum, only dropout falls differently.

    Returns:
        Nats of each slice, where the model is, and the rows at once from now on.

    Raises:
        GendistError: if memory does not suffice for one row.
    """
    while True:
        nats: list[torch.Tensor] = []
        try:
            for loss in _losses(model, batch, device, rows):
                if tokens is not None:
                    (loss / tokens).backward()
                nats.append(loss.detach())
            return nats, rows
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory.is_out_of_memory(error):
                raise
        model.zero_grad()
        out_of_memory.release_memory()
        tried = min(rows or len(batch), _slice_rows(batch, device))
        if tried == 1:
            raise GendistError(
                "out of memory with one row at a time; lower window of the generator, set gradient_checkpointing "
                "or trainable: blocks, or give the job more memory"
            )
        rows = tried // 2
        log.info("out of memory with %d rows at once; going on with %d", tried, rows)


@torch.no_grad()
def nats_per_token(model: Any, rows: Sequence[list[int]]) -> float:
    """Negative log-likelihood per predicted token of whole rows, dropout off."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    total, at_once = 0.0, None
    for i in range(0, len(rows), 16):
        nats, at_once = _nats(model, list(rows[i : i + 16]), device, at_once)
        total += sum(loss.item() for loss in nats)
    model.train(was_training)
    return total / sum(len(row) - 1 for row in rows)


def train_model(
    model: Any,
    rows: list[list[int]],
    held_out: list[list[int]],
    limit: int,
    start: int,
    rng: np.random.Generator,
    settings: Generator,
    checkpoints: Checkpoints[Course],
    member: int = 0,
) -> None:
    """Train in place, from the last checkpoint if there is one; leave the best weights in the model."""
    device = next(model.parameters()).device
    choose_attention(model, limit)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=settings.learning_rate, fused=True)
    per_epoch = sum(1 for _ in _batches(rows, limit, start, np.random.default_rng(0), settings))
    steps = max(1, round(settings.epochs * per_epoch))
    course = checkpoints.state
    if checkpoints.restore(model, optimizer):
        log.info("going on from step %d of %d", course.step, steps)
    else:
        _measure_before(model, held_out, steps, checkpoints)
    done = member * steps + course.step  # of all models that are finetuned one after the other
    progress = Progress("finetuning the generator", settings.finetunes * steps, "steps", initial=done)
    model.train()
    while course.batch or (course.step < steps and course.worse < settings.patience):
        if course.batch:
            rng.bit_generator.state = course.order
        else:
            course.order = dict(rng.bit_generator.state)
        batches = _batches(rows, limit, start, rng, settings)
        for batch in islice(batches, course.batch, course.batch + steps - course.step):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * _schedule(course.step, steps, settings)
            predicted = sum(len(row) - 1 for row in batch)
            losses, course.rows = _nats(model, batch, device, course.rows, predicted)
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            nats = sum(loss.item() for loss in losses)  # last: until here, a GPU is not waited for
            course.nats, course.tokens = course.nats + nats, course.tokens + predicted
            course.step, course.batch = course.step + 1, course.batch + 1
            progress.update(1, f"{nats / predicted:.3f} nats per token")
            checkpoints.after_step(course.step, steps)
        _end_epoch(model, held_out, settings, checkpoints)
    if not all(torch.isfinite(p).all() for p in trained):
        raise _diverged(course, settings)
    with torch.no_grad():
        for name, value in checkpoints.extra_weights.items():
            model.get_parameter(name).copy_(value)


def _measure_before(model: Any, held_out: list[list[int]], steps: int, checkpoints: Checkpoints[Course]) -> None:
    course, before = checkpoints.state, math.nan
    if held_out:
        before = course.best = nats_per_token(model, held_out)
        checkpoints.extra_weights = _snapshot(model)
    weights = sum(p.numel() for p in model.parameters() if p.requires_grad)
    log.info("%d trainable weights, %d steps, held-out nats per token before: %.3f", weights, steps, course.best)
    course.history.append((0, math.nan, before))


def _end_epoch(model: Any, held_out: list[list[int]], settings: Generator, checkpoints: Checkpoints[Course]) -> None:
    """Measure an epoch, and set the weights aside if they are the best so far."""
    course = checkpoints.state
    if not math.isfinite(course.nats):
        raise _diverged(course, settings)
    held = nats_per_token(model, held_out) if held_out else math.nan
    course.history.append((len(course.history), course.nats / course.tokens, held))
    log.info("epoch %d: train %.3f, held out %.3f nats per token", *course.history[-1])
    if held_out and held < course.best:
        course.best, course.worse = held, 0
        checkpoints.extra_weights = _snapshot(model)
    elif held_out:
        course.worse += 1
    course.batch, course.nats, course.tokens = 0, 0.0, 0


def _diverged(course: Course, settings: Generator) -> GendistError:
    return GendistError(
        f"finetuning diverged at step {course.step}; lower learning_rate (now {settings.learning_rate})"
    )


def _snapshot(model: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def _schedule(step: int, steps: int, settings: Generator) -> float:
    """Learning-rate factor in (0, 1]."""
    warmup = settings.warmup * steps
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    return rise if settings.schedule == "constant" else min(rise, (steps - step) / max(1.0, steps - warmup))
