"""Finetune a sequence classifier on the real rows (paper section 3.1)."""

import logging
import time
from collections.abc import Iterator
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
from gendist.progress import Progress
from gendist.teacher.settings import Teacher
from gendist.texts.tables import Texts, read_texts

log = logging.getLogger(__name__)


def finetune_teacher(train: Path, target: Path, settings: Teacher, threads: int = 1) -> None:
    """Finetune ``settings.model`` on ``train`` and save it as a transformers folder.

    A share of the real rows is held out by class to decide how many epochs are best
    (by held-out loss); with ``settings.refit`` the model is then trained again on all real
    rows for that long. Test rows are never seen.

    Args:
        train: ``texts/train.parquet``.
        target: folder to write: weights as safetensors, config, tokenizer, history.
        settings: model and schedule.
        threads: CPU threads.
    """
    began = time.monotonic()
    rows = read_texts(train)
    tokenizer = load_tokenizer(settings.model, settings.revision)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token  # decoder-only checkpoints come without one
    kept, held_out = split(rows, settings)
    model = _fresh(rows, settings, threads, tokenizer)
    history = []
    best, best_weights = float("inf"), {}
    progress = Progress("finetuning the teacher", settings.epochs, "epochs")
    for epoch, train_loss in enumerate(_epochs(model, tokenizer, kept, settings.epochs, settings), 1):
        loss, accuracy = held_out_scores(model, tokenizer, held_out, settings.max_tokens)
        history.append({"epoch": epoch, "train_loss": train_loss, "held_out_loss": loss, "held_out_accuracy": accuracy})
        log.info("epoch %d: train loss %.3f, held out: loss %.3f, accuracy %.3f", epoch, train_loss, loss, accuracy)
        progress.add(1)
        if loss < best:
            best, epochs = loss, epoch
            best_weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
    if not best_weights:
        raise GendistError(f"teacher: the loss is not finite; lower learning_rate (now {settings.learning_rate})")
    if settings.refit:
        log.info("training again on all %d real rows for %d epochs", len(rows.texts), epochs)
        model = _fresh(rows, settings, threads, tokenizer)
        for train_loss in _epochs(model, tokenizer, rows, epochs, settings):
            log.info("refit: train loss %.3f", train_loss)
    else:
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


def _fresh(rows: Texts, settings: Teacher, threads: int, tokenizer: Any) -> Any:
    device = devices.prepare(threads, settings.seed)
    model = load_classifier(settings.model, rows.label_names, settings.revision).to(device)
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    return model


def _epochs(model: Any, tokenizer: Any, rows: Texts, epochs: int, settings: Teacher) -> Iterator[float]:
    """Train; yield the mean loss after each epoch. The schedule always spans ``settings.epochs``.

    A refit thus walks the same learning rates as the run that chose its length.
    """
    encoded = encode(tokenizer, rows.texts, settings.max_tokens, model)
    labels = torch.from_numpy(rows.labels)
    optimizer = torch.optim.AdamW(_parameter_groups(model, settings), weight_decay=settings.weight_decay)
    per_epoch = -(-len(encoded) // settings.batch_size)
    steps = per_epoch * settings.epochs
    warmup = settings.warmup * steps
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / max(1.0, warmup), (steps - step) / max(1.0, steps - warmup), 1.0)
    )
    rng = np.random.default_rng(settings.seed)
    for _ in range(epochs):
        model.train()
        total = 0.0
        order = rng.permutation(len(encoded))
        for i in range(0, len(order), settings.batch_size):
            picks = order[i : i + settings.batch_size]
            ids, mask = padded([encoded[j] for j in picks], tokenizer.pad_token_id or 0)
            with devices.mixed_precision(model.device):
                loss = model(
                    input_ids=ids.to(model.device),
                    attention_mask=mask.to(model.device),
                    labels=labels[picks].to(model.device),
                ).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            total += loss.item() * len(picks)
        yield total / len(order)


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
