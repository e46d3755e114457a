"""Finetune a sequence classifier on the real rows (paper section 3.1)."""

import logging
import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gendist.config.base_settings import Device
from gendist.config.teacher_settings import Teacher
from gendist.errors import GendistError
from gendist.io.atomic_files import model_folder
from gendist.io.json_files import write_json
from gendist.io.provenance import Provenance, hash_file
from gendist.jobs import out_of_memory, stop_signals
from gendist.jobs.checkpoints import Checkpoints
from gendist.jobs.progress_log import Progress
from gendist.jobs.work_folder import WorkFolder
from gendist.jobs.work_stamp import make_stamp
from gendist.nn import devices
from gendist.nn.padding import padded
from gendist.nn.pooled_classifier import contrastive_loss
from gendist.nn.pretrained import choose_attention, content_of, describe, load_classifier, load_tokenizer
from gendist.stages.logits.batches import encode, predict_logits
from gendist.stages.logits.cascade import BF16, RECORD, int8_error
from gendist.stages.teacher.course import Course
from gendist.stages.teacher.split import split
from gendist.stages.texts.tables import Texts, read_texts

log = logging.getLogger(__name__)


def finetune_teacher(
    train: Path,
    target: Path,
    settings: Teacher,
    threads: int = 1,
    work: Path | None = None,
    device: Device = "auto",
) -> None:
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
        work: folder of all work folders, where checkpoints are kept; None keeps none.
        device: where to compute; a GPU is claimed until this process ends.

    Raises:
        GendistError: if the model cannot be loaded, training diverges, or memory does not suffice for it.
    """
    place = devices.prepare(threads, settings.seed, device)  # before the clock starts: it may wait for a GPU
    provenance = Provenance(
        "teacher",
        {"train": hash_file(train)},
        settings.model_dump(mode="json", exclude={"model"}),
        settings.seed,
        describe(settings.model, settings.revision),
    )
    model = content_of(settings.model, settings.revision)
    stamp = make_stamp(provenance, __file__, model=model, threads=threads, device=place.type)
    kept = WorkFolder(work, target, stamp)
    with model_folder(target, provenance) as folder:
        if kept.restore_folder("finished", folder):
            log.info("going on after the finetuning, which was finished")
        else:
            checkpoints = Checkpoints(kept, Course())
            with stop_signals.defer_stop():
                _finetune(read_texts(train), folder, settings, threads, device, checkpoints)
            kept.save_folder("finished", folder)
            checkpoints.delete()
    kept.mark_finished()


def _finetune(
    rows: Texts, folder: Path, settings: Teacher, threads: int, device: Device, checkpoints: Checkpoints[Course]
) -> None:
    """Finetune a model and save it, its tokenizer, the course of its training and its time in ``folder``."""
    course = checkpoints.state
    tokenizer = load_tokenizer(settings.model, settings.revision)
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise GendistError(
                f"model {settings.model}: its tokenizer has neither a padding nor an end token (pad_token, eos_token "
                "in tokenizer_config.json), so texts of different lengths cannot share a batch; set one, or name "
                "another model"
            )
        tokenizer.pad_token = tokenizer.eos_token  # decoder-only checkpoints come without one
    longest = passes(len(rows.texts), settings)
    before = course.epoch + (longest + (course.part - 1) * course.epochs if course.part else 0)
    total = longest * (1 + settings.refit * settings.members)
    progress = Progress("finetuning the teacher", total, "epochs", initial=before)
    if course.part == 0:
        model = _fresh(rows, settings, threads, tokenizer, device)
        _choose_epochs(model, tokenizer, rows, longest, settings, checkpoints, progress)
        if settings.refit:
            checkpoints.extra_weights = {}
        course.end_part()
    if settings.refit:
        times = settings.members
        log.info("training again on all %d real rows for %d epochs, %d times", len(rows.texts), course.epochs, times)
        for member in range(course.part - 1, times):
            model = _fresh(rows, settings, threads, tokenizer, device)
            if member:
                torch.manual_seed(settings.seed + member)  # dropout; the head is the same in all
            trained = trained_epochs(model, tokenizer, rows, longest, settings, checkpoints, member)
            for train_loss in islice(trained, course.epochs - course.epoch):
                log.info("refit %d: train loss %.3f", member, train_loss)
                progress.update(1)
            checkpoints.extra_weights = averaged(checkpoints.extra_weights, model, member)
            course.end_part()
    model.load_state_dict(checkpoints.extra_weights)
    record = {
        "epochs": course.epochs,
        "n_parameters": sum(p.numel() for p in model.parameters()),
        "history": course.history,
    }
    exact, on_gpu = settings.precision == "float32", model.device.type == "cuda"
    # Set in any case: the folder that it was finetuned from may bring a record of its own.
    measured = None if exact or on_gpu else int8_error(model, tokenizer, rows.texts, settings.max_tokens)
    setattr(model.config, RECORD, measured)
    if on_gpu or hasattr(model.config, BF16):
        setattr(model.config, BF16, on_gpu and not exact)
    model.save_pretrained(folder, max_shard_size="100GB")
    tokenizer.save_pretrained(folder)
    write_json(folder / "history.json", record)
    write_json(folder / "timing.json", {"train_seconds": round(checkpoints.elapsed(), 1)})


def _choose_epochs(
    model: Any,
    tokenizer: Any,
    rows: Texts,
    longest: int,
    settings: Teacher,
    checkpoints: Checkpoints[Course],
    progress: Progress,
) -> None:
    """Train without the held-out rows; set the weights aside that they find best."""
    kept, held_out = split(rows, settings)
    course = checkpoints.state
    for train_loss in trained_epochs(model, tokenizer, kept, longest, settings, checkpoints):
        epoch = course.epoch + 1
        loss, accuracy = held_out_scores(model, tokenizer, held_out, settings.max_tokens)
        course.history.append(
            {"epoch": epoch, "train_loss": train_loss, "held_out_loss": loss, "held_out_accuracy": accuracy}
        )
        log.info("epoch %d: train loss %.3f, held out: loss %.3f, accuracy %.3f", epoch, train_loss, loss, accuracy)
        progress.update(1)
        if loss < course.best:
            course.best, course.epochs = loss, epoch
            checkpoints.extra_weights = snapshot(model)
    if not checkpoints.extra_weights:
        raise GendistError(f"teacher: the loss is not finite; lower learning_rate (now {settings.learning_rate})")


def _fresh(rows: Texts, settings: Teacher, threads: int, tokenizer: Any, device: Device) -> Any:
    place = devices.prepare(threads, settings.seed, device)
    model = load_classifier(settings.model, rows.label_names, settings.revision, settings.pooling).to(place)
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    choose_attention(model, settings.max_tokens)
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
    weights = model.state_dict()
    return {
        name: value + (weights[name] - value) / (members + 1) if value.is_floating_point() else value
        for name, value in mean.items()
    }


def trained_epochs(
    model: Any,
    tokenizer: Any,
    rows: Texts,
    epochs: int,
    settings: Teacher,
    checkpoints: Checkpoints[Course],
    member: int = 0,
) -> Iterator[float]:
    """Train for ``epochs``, those that a checkpoint has behind it left out; yield the mean loss after each.

    The schedule spans all of them: a refit that stops earlier thus walks the same learning rates as the run
    that chose its length.
    """
    encoded = encode(tokenizer, rows.texts, settings.max_tokens, model)
    labels = torch.from_numpy(rows.labels)
    optimizer = torch.optim.AdamW(_parameter_groups(model, settings), weight_decay=settings.weight_decay, fused=True)
    per_epoch = -(-len(encoded) // settings.batch_size)
    steps = per_epoch * epochs
    warmup = settings.warmup * steps
    peaks = [group["lr"] for group in optimizer.param_groups]
    rng = np.random.default_rng(settings.seed + member)
    course = checkpoints.state
    if checkpoints.restore(model, optimizer):
        log.info("going on from epoch %d, step %d of %d", course.epoch + 1, course.batch, per_epoch)
    while course.epoch < epochs:
        model.train()
        if course.batch:
            rng.bit_generator.state = course.order
        else:
            course.order = dict(rng.bit_generator.state)
        order = _paired(rows.labels, rng) if settings.contrastive else rng.permutation(len(encoded))
        for i in range(course.batch * settings.batch_size, len(order), settings.batch_size):
            step = course.epoch * per_epoch + course.batch
            factor = min((step + 1) / max(1.0, warmup), (steps - step) / max(1.0, steps - warmup), 1.0)
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * factor
            picks = order[i : i + settings.batch_size]
            loss = _backward(model, [encoded[j] for j in picks], labels[picks], tokenizer, settings)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            course.loss += loss * len(picks)
            course.step, course.batch = course.step + 1, course.batch + 1
            checkpoints.after_step(course.step, steps * (1 + settings.refit * settings.members))
        yield course.loss / len(order)
        course.epoch, course.batch, course.loss = course.epoch + 1, 0, 0.0


def _backward(model: Any, batch: list[list[int]], labels: torch.Tensor, tokenizer: Any, settings: Teacher) -> float:
    """Take the gradient of a batch's mean loss; return the loss."""
    try:
        ids, mask = padded(batch, tokenizer.pad_token_id or 0)
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
