"""Finetune a causal language model on the real texts (paper sections 3.1 and 4.2)."""

import logging
import math
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gendist import devices
from gendist.artifacts import Provenance, hash_file, model_folder, write_text
from gendist.errors import GendistError
from gendist.generator import sequences
from gendist.generator.folder import Record, label_prompt, member_folder, write_record
from gendist.generator.settings import Generator
from gendist.models import describe, load_causal_lm, load_tokenizer
from gendist.padding import padded
from gendist.progress import Progress
from gendist.settings import Device
from gendist.texts.tables import Texts, read_texts

log = logging.getLogger(__name__)

SLICE_TOKENS = 256
"""Tokens that a CPU takes through the model at once."""


def finetune_generator(
    train: Path, target: Path, settings: Generator, threads: int = 1, device: Device = "auto"
) -> None:
    """Finetune ``settings.model`` on the texts of ``train`` and save it as a transformers folder.

    With ``settings.held_out`` a share of the rows is kept out; training stops when their
    likelihood no longer improves, and the best epoch's weights are saved. Labels are seen only
    if ``settings.conditional``: a text then follows its label's name. Of several
    ``settings.finetunes``, those after the first go to sub-folders (``member_folder``).

    Args:
        train: ``texts/train.parquet``.
        target: folder to write: weights as safetensors, config and tokenizer.
        settings: model and schedule.
        threads: CPU threads.
        device: where to compute; a GPU is claimed until this process ends.

    Raises:
        GendistError: if the model cannot be loaded or never ends a text, a label's name is longer than
            the window, or training diverges.
    """
    texts = read_texts(train)
    provenance = Provenance(
        "generator",
        {"train": hash_file(train)},
        settings.model_dump(mode="json", exclude={"model"}),
        settings.seed,
        describe(settings.model, settings.revision),
    )
    with model_folder(target, provenance) as folder:
        for member in range(settings.finetunes):
            if settings.finetunes > 1:
                log.info("model %d of %d", member + 1, settings.finetunes)
            seeded = settings.model_copy(update={"seed": settings.seed + member})
            _finetune(texts, member_folder(folder, member), seeded, threads, device)
        names = tuple(texts.label_names) if settings.conditional else ()
        write_record(folder, Record(label_names=names, members=settings.finetunes))


def _finetune(texts: Texts, folder: Path, settings: Generator, threads: int, device: Device) -> None:
    """Finetune one model and save it, its tokenizer and the course of its training in ``folder``."""
    place = devices.prepare(threads, settings.seed, device)
    tokenizer = load_tokenizer(settings.model, settings.revision)
    model = load_causal_lm(settings.model, settings.revision).to(place)
    start, end = boundary_tokens(model.config, tokenizer, settings.model)
    limit = min(settings.window, getattr(model.config, "max_position_embeddings", settings.window))
    prompts = [label_prompt(texts.label_names[label]) for label in texts.labels] if settings.conditional else None
    rows = sequences.tokenize(tokenizer, texts.texts, limit, start, end, prompts)
    rng = np.random.default_rng(settings.seed)
    order = rng.permutation(len(rows))
    n_held_out = math.ceil(settings.held_out * len(rows))
    held_out = [rows[i] for i in order[:n_held_out]]
    kept = [rows[i] for i in np.sort(order[n_held_out:])]
    _freeze(model, settings)
    if settings.dropout is not None:
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = settings.dropout
    history = _train(model, kept, held_out, limit, start, rng, settings)
    model.config.bos_token_id, model.config.eos_token_id = start, end
    model.generation_config.bos_token_id, model.generation_config.eos_token_id = start, end
    model.save_pretrained(folder, max_shard_size="100GB")
    tokenizer.save_pretrained(folder)
    lines = ["epoch,train_nats_per_token,held_out_nats_per_token\n"]
    lines += [f"{epoch},{train_loss:.5f},{held:.5f}\n" for epoch, train_loss, held in history]
    write_text(folder / "history.csv", "".join(lines))


def boundary_tokens(config: Any, tokenizer: Any, name: str) -> tuple[int, int]:
    """Return the ids that stand before and after every text.

    Raises:
        GendistError: if the model has no end token.
    """
    end = config.eos_token_id if config.eos_token_id is not None else tokenizer.eos_token_id
    end = end[0] if isinstance(end, list) else end
    if end is None:
        raise GendistError(f"model {name}: has no end-of-text token (eos_token_id), so rows would never end")
    start = config.bos_token_id if config.bos_token_id is not None else tokenizer.bos_token_id
    return (end if start is None else start), end


def _freeze(model: Any, settings: Generator) -> None:
    if settings.trainable == "blocks":
        # Transformers keeps the blocks, and nothing else, in a numbered list: transformer.h.0.attn...
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(re.search(r"\.\d+\.", name) is not None)
    if settings.gradient_checkpointing:
        # The newer name of the two; the older warns since transformers 5.23.
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
        model.config.use_cache = False


def _batches(
    rows: Sequence[list[int]], limit: int, start: int, rng: np.random.Generator, settings: Generator
) -> Iterator[list[list[int]]]:
    """Yield one epoch of batches."""
    stream = sequences.windows(rows, limit, start, rng) if settings.unit == "windows" else sequences.examples(rows, rng)
    while batch := list(islice(stream, settings.batch_size)):
        yield batch


def _losses(model: Any, batch: list[list[int]], device: torch.device) -> Iterator[tuple[torch.Tensor, int]]:
    """Yield summed negative log-likelihoods and numbers of predicted tokens, for slices of a batch.

    A CPU takes a few rows at a time: the logits (tokens x vocabulary) of a whole batch fit no cache.
    """
    batch = sorted(batch, key=len)  # slices of rows of like length need little padding
    rows = len(batch) if device.type == "cuda" else max(1, SLICE_TOKENS // max(map(len, batch)))
    for i in range(0, len(batch), rows):
        ids, mask = padded(batch[i : i + rows])
        labels = ids.masked_fill(mask == 0, -100)
        count = int(mask[:, 1:].sum())
        with devices.mixed_precision(device):
            loss = model(input_ids=ids.to(device), attention_mask=mask.to(device), labels=labels.to(device)).loss
        yield loss * count, count


@torch.no_grad()
def nats_per_token(model: Any, rows: Sequence[list[int]]) -> float:
    """Negative log-likelihood per predicted token of whole rows, dropout off."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    nats, tokens = 0.0, 0
    for i in range(0, len(rows), 16):
        for loss, count in _losses(model, list(rows[i : i + 16]), device):
            nats, tokens = nats + loss.item(), tokens + count
    model.train(was_training)
    return nats / tokens


def _train(
    model: Any,
    rows: list[list[int]],
    held_out: list[list[int]],
    limit: int,
    start: int,
    rng: np.random.Generator,
    settings: Generator,
) -> list[tuple[int, float, float]]:
    """Train in place; leave the best weights in the model; return (epoch, train, held-out) nats per token."""
    device = next(model.parameters()).device
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=settings.learning_rate, fused=True)
    per_epoch = sum(1 for _ in _batches(rows, limit, start, np.random.default_rng(0), settings))
    steps = max(1, round(settings.epochs * per_epoch))
    progress = Progress("finetuning the generator", steps, "steps")
    model.train()
    history: list[tuple[int, float, float]] = []
    best = nats_per_token(model, held_out) if held_out else math.inf
    log.info(
        "%d trainable weights, %d steps, held-out nats per token before: %.3f",
        sum(map(torch.numel, trained)),
        steps,
        best,
    )
    history.append((0, math.nan, best if held_out else math.nan))
    best_weights = _snapshot(model) if held_out else None
    step, worse = 0, 0
    while step < steps and worse < settings.patience:
        total, tokens = 0.0, 0
        for batch in islice(_batches(rows, limit, start, rng, settings), steps - step):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * _schedule(step, steps, settings)
            predicted = sum(len(row) - 1 for row in batch)
            nats = 0.0
            for loss, _ in _losses(model, batch, device):
                (loss / predicted).backward()
                nats += loss.item()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            total, tokens, step = total + nats, tokens + predicted, step + 1
            progress.add(1, f"{nats / predicted:.3f} nats per token")
        if not math.isfinite(total):
            raise GendistError(
                f"finetuning diverged at step {step}; lower learning_rate (now {settings.learning_rate})"
            )
        held = nats_per_token(model, held_out) if held_out else math.nan
        history.append((len(history), total / tokens, held))
        log.info("epoch %d: train %.3f, held out %.3f nats per token", *history[-1])
        if held_out and held < best:
            best, worse = held, 0
            best_weights = _snapshot(model)
        elif held_out:
            worse += 1
    if not all(torch.isfinite(p).all() for p in trained):
        raise GendistError(f"finetuning diverged at step {step}; lower learning_rate (now {settings.learning_rate})")
    if best_weights is not None:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in best_weights:
                    parameter.copy_(best_weights[name])
    return history


def _snapshot(model: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def _schedule(step: int, steps: int, settings: Generator) -> float:
    """Learning-rate factor in (0, 1]."""
    warmup = settings.warmup * steps
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    return rise if settings.schedule == "constant" else min(rise, (steps - step) / max(1.0, steps - warmup))
