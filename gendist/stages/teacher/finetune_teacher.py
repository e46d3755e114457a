"""Finetune a sequence classifier on the real rows (paper section 3.1)."""

import logging
import math
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from gendist.config.base_settings import Device
from gendist.config.teacher_settings import Teacher
from gendist.errors import GendistError
from gendist.io.atomic_files import model_folder
from gendist.io.json_files import write_json
from gendist.io.provenance import Provenance, hash_file
from gendist.jobs import stop_signals
from gendist.jobs.checkpoints import Checkpoints
from gendist.jobs.progress_log import Progress
from gendist.jobs.work_folder import WorkFolder
from gendist.jobs.work_stamp import make_stamp
from gendist.nn import devices
from gendist.nn.pretrained import choose_attention, content_hash, describe, load_classifier, load_tokenizer
from gendist.stages.logits.batched_logits import predict_logits
from gendist.stages.logits.int8_cascade import BF16_KEY, INT8_ERROR_KEY, int8_error
from gendist.stages.teacher.finetuning_state import FinetuningState
from gendist.stages.teacher.held_out_split import split_held_out
from gendist.stages.teacher.training_loop import train_epochs
from gendist.stages.texts.text_tables import Texts, read_texts

log = logging.getLogger(__name__)


def finetune_teacher(
    train: Path,
    target: Path,
    settings: Teacher,
    *,
    threads: int = 1,
    work: Path | None = None,
    device: Device = "auto",
) -> None:
    """Finetune ``settings.model`` on ``train`` and save it as a transformers folder.

    The held-out loss on a stratified share of the real rows chooses the number of epochs. With
    ``settings.refit`` the model is then trained on all real rows for that many epochs,
    ``settings.members`` times, and the weights are averaged. Test rows are not read.

    Args:
        train: ``texts/train.parquet``.
        target: folder to write: weights as safetensors, config, tokenizer, history.
        settings: model and training settings.
        threads: CPU threads.
        work: root of the work folders, for checkpoints; None disables checkpoints.
        device: device to train on; the process claims a GPU until it exits.

    Raises:
        GendistError: if the model cannot be loaded, training diverges or memory runs out.
    """
    torch_device = devices.prepare(threads, settings.seed, device)  # may wait for a GPU: not part of the timing
    provenance = Provenance(
        "teacher",
        {"train": hash_file(train)},
        settings.model_dump(mode="json", exclude={"model"}),
        settings.seed,
        describe(settings.model, settings.revision),
    )
    model = content_hash(settings.model, settings.revision)
    stamp = make_stamp(provenance, __file__, model=model, threads=threads, device=torch_device.type)
    work_folder = WorkFolder(work, target, stamp)
    with model_folder(target, provenance) as folder:
        if work_folder.restore_folder("finished", folder):
            log.info("resuming: finetuning already complete")
        else:
            checkpoints = Checkpoints(work_folder, FinetuningState())
            with stop_signals.defer_stop():
                _finetune(
                    read_texts(train),
                    folder,
                    settings=settings,
                    threads=threads,
                    device=device,
                    checkpoints=checkpoints,
                )
            work_folder.save_folder("finished", folder)
            checkpoints.delete()
    work_folder.mark_finished()


def _finetune(
    rows: Texts,
    folder: Path,
    *,
    settings: Teacher,
    threads: int,
    device: Device,
    checkpoints: Checkpoints[FinetuningState],
) -> None:
    """Finetune a model; save model, tokenizer, history and timing to ``folder``."""
    state = checkpoints.state
    tokenizer = load_tokenizer(settings.model, settings.revision)
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise GendistError(
                f"model {settings.model}: its tokenizer has neither a padding nor an end token (pad_token, eos_token "
                "in tokenizer_config.json), so texts of different lengths cannot share a batch; set one or use "
                "another model"
            )
        tokenizer.pad_token = tokenizer.eos_token  # decoder-only checkpoints have no pad token
    epoch_limit = max_epochs(len(rows.texts), settings)
    finished = state.epoch + (epoch_limit + (state.part - 1) * state.epochs if state.part else 0)
    total = epoch_limit * (1 + settings.refit * settings.members)
    progress = Progress("finetuning the teacher", total, "epochs", initial=finished)
    if state.part == 0:
        model = _load_model(rows, settings, threads=threads, tokenizer=tokenizer, device=device)
        _choose_epochs(
            model,
            tokenizer,
            rows,
            epoch_limit=epoch_limit,
            settings=settings,
            checkpoints=checkpoints,
            progress=progress,
        )
        if settings.refit:
            checkpoints.extra_weights = {}
        state.start_next_part()
    if settings.refit:
        times = settings.members
        log.info("refitting on all %d real rows for %d epochs, %d times", len(rows.texts), state.epochs, times)
        for member in range(state.part - 1, times):
            model = _load_model(rows, settings, threads=threads, tokenizer=tokenizer, device=device)
            if member:
                torch.manual_seed(settings.seed + member)  # for dropout; all members start from the same head
            trained = train_epochs(
                model, tokenizer, rows, epochs=epoch_limit, settings=settings, checkpoints=checkpoints, member=member
            )
            for train_loss in islice(trained, state.epochs - state.epoch):
                log.info("refit %d: train loss %.3f", member, train_loss)
                progress.update(1)
            checkpoints.extra_weights = average_weights(checkpoints.extra_weights, model, member)
            state.start_next_part()
    model.load_state_dict(checkpoints.extra_weights)
    history = {
        "epochs": state.epochs,
        "n_parameters": sum(p.numel() for p in model.parameters()),
        "history": state.history,
    }
    float32_only, on_gpu = settings.precision == "float32", model.device.type == "cuda"
    # Always set: the config of the base model may contain an old value.
    error = None if float32_only or on_gpu else int8_error(model, tokenizer, rows.texts, settings.max_tokens)
    setattr(model.config, INT8_ERROR_KEY, error)
    if on_gpu or hasattr(model.config, BF16_KEY):
        setattr(model.config, BF16_KEY, on_gpu and not float32_only)
    model.save_pretrained(folder, max_shard_size="100GB")
    tokenizer.save_pretrained(folder)
    write_json(folder / "history.json", history)
    write_json(folder / "timing.json", {"train_seconds": round(checkpoints.elapsed(), 1)})


def _choose_epochs(
    model: Any,
    tokenizer: Any,
    rows: Texts,
    *,
    epoch_limit: int,
    settings: Teacher,
    checkpoints: Checkpoints[FinetuningState],
    progress: Progress,
) -> None:
    """Train without the held-out rows; store the weights with the lowest held-out loss."""
    train, held_out = split_held_out(rows, settings)
    state = checkpoints.state
    for train_loss in train_epochs(
        model, tokenizer, train, epochs=epoch_limit, settings=settings, checkpoints=checkpoints
    ):
        epoch = state.epoch + 1
        loss, accuracy = held_out_scores(model, tokenizer, held_out, settings.max_tokens)
        state.history.append(
            {"epoch": epoch, "train_loss": train_loss, "held_out_loss": loss, "held_out_accuracy": accuracy}
        )
        log.info("epoch %d: train loss %.3f, held out: loss %.3f, accuracy %.3f", epoch, train_loss, loss, accuracy)
        progress.update(1)
        if loss < state.best:
            state.best, state.epochs = loss, epoch
            checkpoints.extra_weights = copy_weights(model)
    if not checkpoints.extra_weights:
        raise GendistError(f"teacher: the loss is not finite; lower learning_rate (now {settings.learning_rate})")


def _load_model(rows: Texts, settings: Teacher, *, threads: int, tokenizer: Any, device: Device) -> Any:
    torch_device = devices.prepare(threads, settings.seed, device)
    model = load_classifier(settings.model, rows.label_names, settings.revision, settings.pooling).to(torch_device)
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    choose_attention(model, settings.max_tokens)
    return model


def max_epochs(n_rows: int, settings: Teacher) -> int:
    """Return the maximum number of epochs: ``epochs``, or the full epochs in ``max_steps`` if fewer."""
    if settings.max_steps is None:
        return settings.epochs
    return max(1, min(settings.epochs, settings.max_steps // math.ceil(n_rows / settings.batch_size)))


def copy_weights(model: Any) -> dict[str, torch.Tensor]:
    """Return a copy of the state dict."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def average_weights(mean: dict[str, torch.Tensor], model: Any, members: int) -> dict[str, torch.Tensor]:
    """Add a model to the running mean of ``members`` state dicts; integer buffers stay unchanged."""
    if not members:
        return copy_weights(model)
    weights = model.state_dict()
    return {
        name: value + (weights[name] - value) / (members + 1) if value.is_floating_point() else value
        for name, value in mean.items()
    }


def held_out_scores(model: Any, tokenizer: Any, rows: Texts, max_tokens: int) -> tuple[float, float]:
    """Return the mean cross-entropy (nats) and accuracy (0 to 1) on held-out rows."""
    logits = torch.from_numpy(predict_logits(model, tokenizer, rows.texts, max_tokens))
    labels = torch.from_numpy(rows.labels)
    loss = torch.nn.functional.cross_entropy(logits, labels).item()
    return loss, (logits.argmax(1) == labels).float().mean().item()
