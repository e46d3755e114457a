"""Finetune a sequence classifier on the real rows (paper section 3.1)."""

import logging
import math
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import StratifiedShuffleSplit

from gendist import devices
from gendist.artifacts import Provenance, hash_file, model_folder, write_json
from gendist.errors import GendistError
from gendist.logits.batches import encode, predict_logits
from gendist.models import describe, load_classifier, load_tokenizer
from gendist.padding import padded
from gendist.pooled import contrastive_loss
from gendist.progress import Progress
from gendist.settings import Device
from gendist.teacher.settings import Teacher
from gendist.texts.tables import Texts, read_texts

log = logging.getLogger(__name__)


def finetune_teacher(train: Path, target: Path, settings: Teacher, threads: int = 1, device: Device = "auto") -> None:
    """Finetune ``settings.model`` on ``train`` and save it as a transformers folder.

    A share of the real rows is held out by class to decide how many epochs are best
    (by held-out loss); with ``settings.refit`` the model is then trained again on all real
    rows for that long, ``settings.members`` times, and the weights are averaged. Test rows
    are never seen.

    Args:
        train: ``texts/train.parquet``.
        target: folder to write: weights as safetensors, config, tokenizer, history.
        settings: model and schedule.
        threads: CPU threads.
        device: where to compute; a GPU is claimed until this process ends.
    """
    devices.prepare(threads, settings.seed, device)  # before the clock starts: it may wait for a GPU
    began = time.monotonic()
    rows = read_texts(train)
    tokenizer = load_tokenizer(settings.model, settings.revision)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token  # decoder-only checkpoints come without one
    kept, held_out = split(rows, settings)
    model = _fresh(rows, settings, threads, tokenizer, device)
    longest = passes(len(rows.texts), settings)
    history = []
    best, best_weights = float("inf"), {}
    progress = Progress("finetuning the teacher", longest * (1 + settings.refit * settings.members), "epochs")
    for epoch, train_loss in enumerate(_epochs(model, tokenizer, kept, longest, settings), 1):
        loss, accuracy = held_out_scores(model, tokenizer, held_out, settings.max_tokens)
        history.append({"epoch": epoch, "train_loss": train_loss, "held_out_loss": loss, "held_out_accuracy": accuracy})
        log.info("epoch %d: train loss %.3f, held out: loss %.3f, accuracy %.3f", epoch, train_loss, loss, accuracy)
        progress.add(1)
        if loss < best:
            best, epochs = loss, epoch
            best_weights = snapshot(model)
    if not best_weights:
        raise GendistError(f"teacher: the loss is not finite; lower learning_rate (now {settings.learning_rate})")
    if settings.refit:
        log.info(
            "training again on all %d real rows for %d epochs, %d times", len(rows.texts), epochs, settings.members
        )
        best_weights = {}
        for member in range(settings.members):
            model = _fresh(rows, settings, threads, tokenizer, device)
            if member:
                torch.manual_seed(settings.seed + member)  # dropout; the head is the same in all
            for train_loss in islice(_epochs(model, tokenizer, rows, longest, settings, member), epochs):
                log.info("refit %d: train loss %.3f", member, train_loss)
                progress.add(1)
            best_weights = averaged(best_weights, model, member)
    model.load_state_dict(best_weights)
    provenance = Provenance(
        "teacher",
        {"train": hash_file(train)},
        settings.model_dump(mode="json", exclude={"model"}),
        settings.seed,
        describe(settings.model, settings.revision),
    )
    record = {"epochs": epochs, "n_parameters": sum(p.numel() for p in model.parameters()), "history": history}
    with model_folder(target, provenance) as folder:
        model.save_pretrained(folder, max_shard_size="100GB")
        tokenizer.save_pretrained(folder)
        write_json(folder / "history.json", record)
        write_json(folder / "timing.json", {"train_seconds": round(time.monotonic() - began, 1)})


def split(rows: Texts, settings: Teacher) -> tuple[Texts, Texts]:
    """Hold out a share of each class, at least one row; returns (kept, held out)."""
    classes = len(rows.label_names)
    size = max(round(settings.held_out * len(rows.texts)), classes)
    splitter = StratifiedShuffleSplit(1, test_size=size, random_state=settings.seed)
    kept, held_out = next(splitter.split(rows.labels, rows.labels))
    return _take(rows, np.sort(kept)), _take(rows, np.sort(held_out))


def _take(rows: Texts, picks: np.ndarray) -> Texts:
    return Texts(rows.ids[picks], [rows.texts[i] for i in picks], rows.labels[picks], rows.label_names)


def _fresh(rows: Texts, settings: Teacher, threads: int, tokenizer: Any, device: Device) -> Any:
    place = devices.prepare(threads, settings.seed, device)
    model = load_classifier(settings.model, rows.label_names, settings.revision, settings.pooling).to(place)
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    return model


def passes(rows: int, settings: Teacher) -> int:
    """Return the most passes over the rows: ``epochs``, or the whole ones in ``max_steps``."""
    if settings.max_steps is None:
        return settings.epochs
    return max(1, min(settings.epochs, settings.max_steps // math.ceil(rows / settings.batch_size)))


def snapshot(model: Any) -> dict[str, torch.Tensor]:
    """Return a copy of the weights."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def averaged(mean: dict[str, torch.Tensor], model: Any, members: int) -> dict[str, torch.Tensor]:
    """Return the mean weights of ``members`` models with one more taken in; whole numbers stay as they are."""
    if not members:
        return snapshot(model)
    return {
        name: value + (new - value) / (members + 1) if value.is_floating_point() else value
        for (name, value), new in zip(mean.items(), model.state_dict().values(), strict=True)
    }


def _epochs(
    model: Any, tokenizer: Any, rows: Texts, epochs: int, settings: Teacher, member: int = 0
) -> Iterator[float]:
    """Train for ``epochs``; yield the mean loss after each. The schedule spans all of them.

    A refit that stops earlier thus walks the same learning rates as the run that chose its length.
    """
    encoded = encode(tokenizer, rows.texts, settings.max_tokens, model)
    labels = torch.from_numpy(rows.labels)
    optimizer = torch.optim.AdamW(_parameter_groups(model, settings), weight_decay=settings.weight_decay)
    per_epoch = -(-len(encoded) // settings.batch_size)
    steps = per_epoch * epochs
    warmup = settings.warmup * steps
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / max(1.0, warmup), (steps - step) / max(1.0, steps - warmup), 1.0)
    )
    rng = np.random.default_rng(settings.seed + member)
    for _ in range(epochs):
        model.train()
        total = 0.0
        order = _paired(rows.labels, rng) if settings.contrastive else rng.permutation(len(encoded))
        for i in range(0, len(order), settings.batch_size):
            picks = order[i : i + settings.batch_size]
            ids, mask = padded([encoded[j] for j in picks], tokenizer.pad_token_id or 0)
            gold = labels[picks].to(model.device)
            with devices.mixed_precision(model.device):
                output = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device), labels=gold)
            loss = output.loss
            if settings.contrastive:
                loss = loss + settings.contrastive * contrastive_loss(output.hidden_states[0], gold)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            total += loss.item() * len(picks)
        yield total / len(order)


def _paired(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return all rows in a random order in which two of one class follow each other (a class may keep one over).

    So a small batch of many classes still holds pairs to contrast.
    """
    shuffled = [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    pairs = [rows[i : i + 2] for rows in shuffled for i in range(0, len(rows), 2)]
    pairs.sort(key=len, reverse=True)  # stable: whole pairs first, so that batches do not cut them apart
    whole = sum(len(pair) == 2 for pair in pairs)
    order = [*rng.permutation(whole), *range(whole, len(pairs))]
    return np.concatenate([pairs[i] for i in order])


def _parameter_groups(model: Any, settings: Teacher) -> list[dict[str, Any]]:
    base = model.base_model_prefix + "."
    head = [p for name, p in model.named_parameters() if not name.startswith(base)]
    body = [p for name, p in model.named_parameters() if name.startswith(base)]
    return [
        {"params": body, "lr": settings.learning_rate},
        {"params": head, "lr": settings.head_learning_rate or settings.learning_rate},
    ]


def held_out_scores(model: Any, tokenizer: Any, rows: Texts, max_tokens: int) -> tuple[float, float]:
    """Return the mean cross-entropy (nats) and the accuracy on held-out real rows."""
    logits = torch.from_numpy(predict_logits(model, tokenizer, rows.texts, max_tokens))
    labels = torch.from_numpy(rows.labels)
    loss = torch.nn.functional.cross_entropy(logits, labels).item()
    return loss, (logits.argmax(1) == labels).float().mean().item()
