"""Training loop of the teacher: class pairs, learning rate schedule, and resuming from checkpoints."""

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from gendist.config.teacher_settings import Teacher
from gendist.errors import GendistError
from gendist.jobs import out_of_memory
from gendist.jobs.checkpoints import Checkpoints
from gendist.nn import devices
from gendist.nn.padding import pad_batch
from gendist.nn.pooled_classifier import contrastive_loss
from gendist.stages.logits.batched_logits import tokenise
from gendist.stages.teacher.finetuning_state import FinetuningState
from gendist.stages.texts.text_tables import Texts

log = logging.getLogger(__name__)


def train_epochs(
    model: Any,
    tokenizer: Any,
    rows: Texts,
    *,
    epochs: int,
    settings: Teacher,
    checkpoints: Checkpoints[FinetuningState],
    member: int = 0,
) -> Iterator[float]:
    """Train up to ``epochs``, resuming from the checkpoint; yield the mean training loss of each epoch.

    The learning rate schedule spans all ``epochs``, so a refit that stops earlier uses the same rates as the
    training that chose the number of epochs.
    """
    encoded = tokenise(tokenizer, rows.texts, settings.max_tokens, model)
    labels = torch.from_numpy(rows.labels)
    optimizer = torch.optim.AdamW(parameter_groups(model, settings), weight_decay=settings.weight_decay, fused=True)
    per_epoch = -(-len(encoded) // settings.batch_size)
    steps = per_epoch * epochs
    warmup = settings.warmup * steps
    peak_rates = [group["lr"] for group in optimizer.param_groups]
    rng = np.random.default_rng(settings.seed + member)
    state = checkpoints.state
    if checkpoints.restore(model, optimizer):
        log.info("resuming from epoch %d, step %d of %d", state.epoch + 1, state.batch, per_epoch)
    while state.epoch < epochs:
        model.train()
        if state.batch:
            rng.bit_generator.state = state.order
        else:
            state.order = dict(rng.bit_generator.state)
        order = pair_by_class(rows.labels, rng) if settings.contrastive else rng.permutation(len(encoded))
        for i in range(state.batch * settings.batch_size, len(order), settings.batch_size):
            step = state.epoch * per_epoch + state.batch
            factor = min((step + 1) / max(1.0, warmup), (steps - step) / max(1.0, steps - warmup), 1.0)
            for group, peak in zip(optimizer.param_groups, peak_rates, strict=True):
                group["lr"] = peak * factor
            indices = order[i : i + settings.batch_size]
            loss = _forward_backward(
                model, [encoded[j] for j in indices], labels[indices], tokenizer=tokenizer, settings=settings
            )
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            state.loss += loss * len(indices)
            state.step, state.batch = state.step + 1, state.batch + 1
            checkpoints.after_step(state.step, steps * (1 + settings.refit * settings.members))
        yield state.loss / len(order)
        state.epoch, state.batch, state.loss = state.epoch + 1, 0, 0.0


def _forward_backward(
    model: Any, batch: list[list[int]], labels: torch.Tensor, *, tokenizer: Any, settings: Teacher
) -> float:
    """Compute the mean loss of a batch and its gradients; return the loss in nats."""
    try:
        ids, mask = pad_batch(batch, tokenizer.pad_token_id or 0)
        gold = labels.to(model.device)
        with devices.mixed_precision(model.device):
            output = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device), labels=gold)
        loss = output.loss
        if settings.contrastive:
            loss = loss + settings.contrastive * contrastive_loss(output.hidden_states[0], gold)
        loss.backward()
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory.is_out_of_memory(error):
            raise
        raise GendistError(
            f"out of memory with {len(batch)} rows of up to {max(map(len, batch))} tokens; lower batch_size of the "
            f"teacher (now {settings.batch_size}) or its max_tokens, or give the job more memory"
        ) from None
    value: float = loss.item()
    return value


def pair_by_class(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shuffle the rows so that pairs of one class are adjacent; odd rows come last.

    A small batch over many classes then still contains positive pairs for the contrastive loss.
    """
    shuffled = [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    pairs = [rows[i : i + 2] for rows in shuffled for i in range(0, len(rows), 2)]
    pairs.sort(key=len, reverse=True)  # stable: pairs first, so that no batch splits one
    n_pairs = sum(len(pair) == 2 for pair in pairs)
    order = [*rng.permutation(n_pairs), *range(n_pairs, len(pairs))]
    return np.concatenate([pairs[i] for i in order])


def parameter_groups(model: Any, settings: Teacher) -> list[dict[str, Any]]:
    """Return the optimiser's parameter groups: the encoder and the head, each with its learning rate."""
    base = model.base_model_prefix + "."
    head = [p for name, p in model.named_parameters() if not name.startswith(base)]
    body = [p for name, p in model.named_parameters() if name.startswith(base)]
    return [
        {"params": body, "lr": settings.learning_rate},
        {"params": head, "lr": settings.head_learning_rate or settings.learning_rate},
    ]
