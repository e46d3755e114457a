"""Pretrain the pocket generator on plain text for a given time, resumable at every checkpoint."""

import json
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from gendist.errors import GendistError
from gendist.io.provenance import PROVENANCE_KEY, Provenance, hash_file
from gendist.nn.pocket.encoder import PACKAGE, encoder_folder
from gendist.nn.pocket.tokenizer import generator_tokenizer
from tools.pocket.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from tools.pocket.model import NextTokenLoss, generator_config, stack_encoder, trained_weights
from tools.pocket.optimizers import learning_rate, make_optimizers, take_step
from tools.pocket.pack import pack_generator
from tools.pocket.settings import HELD_OUT, Pretraining
from tools.pocket.windows import batches, held_out_windows, source_files, stream_hash, training_stream

log = logging.getLogger(__name__)


def pretrain(settings: Pretraining, clock: Callable[[], float] = time.monotonic) -> Path:
    """Run (or resume) the pretraining, on a GPU if there is one; return the file of int8 weights.

    Args:
        settings: of the run.
        clock: seconds from any origin.

    Raises:
        GendistError: if a corpus is missing or too short, a checkpoint is of another run, or the loss diverges.
    """
    if is_finished(settings):
        return settings.weights
    encoder = settings.base or encoder_folder()
    tokenizer = generator_tokenizer(encoder)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    settings.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    held_out = held_out_windows(settings, tokenizer).to(device)
    ids = training_stream(settings, tokenizer)
    torch.manual_seed(settings.seed)
    counts = np.bincount(ids, minlength=tokenizer.get_vocab_size())
    model = stack_encoder(encoder, settings.layers, counts).train().to(device)
    state = TrainingState(model, make_optimizers(model, settings))
    corpus = stream_hash(settings, tokenizer)
    load_checkpoint(settings, state, corpus)
    if state.step == 0:
        settings.curve.unlink(missing_ok=True)
    loss = NextTokenLoss(model, compiled=device.type == "cuda")
    if device.type == "cuda":
        loss(held_out[: settings.batch]).backward()  # compiles before the clock starts
        model.zero_grad()
    stream = torch.from_numpy(ids.astype(np.int32)).to(device)
    _train(settings, state, stream, loss_of=loss, held_out=held_out, corpus=corpus, clock=clock)
    provenance = Provenance(
        "pocket-generator",
        inputs={file.name: hash_file(file) for file in source_files(settings)},
        settings=settings.recipe,
        seed=settings.seed,
        source_models={settings.base.name if settings.base else PACKAGE: hash_file(encoder / "model.safetensors")},
    )
    config = generator_config(encoder, settings.layers)
    weights = {name: p.cpu() for name, p in trained_weights(model, config.vocab_size).items()}
    pack_generator(settings.out, weights=weights, config=config, tokenizer=tokenizer, provenance=provenance)
    return settings.weights


def is_finished(settings: Pretraining) -> bool:
    """Whether the weights exist and were made with these settings."""
    if not settings.weights.exists():
        return False
    with safe_open(settings.weights, "pt") as stored:
        made = json.loads((stored.metadata() or {}).get(PROVENANCE_KEY, "{}"))
    return made.get("settings") == settings.recipe and made.get("seed") == settings.seed


def _train(
    settings: Pretraining,
    state: TrainingState,
    stream: torch.Tensor,
    *,
    loss_of: NextTokenLoss,
    held_out: torch.Tensor,
    corpus: str,
    clock: Callable[[], float],
) -> None:
    """Train until the time is used up; scoring and saving do not count."""
    first_step, first_seconds = state.step, state.seconds
    saved = state.seconds
    before = clock()
    for ids in batches(stream, settings, state.step):
        if state.seconds >= settings.seconds:
            return
        loss = loss_of(ids)
        loss.backward()
        take_step(state.optimizers, learning_rate(state.step, state.seconds, settings), settings)
        state.step += 1
        now = clock()
        state.seconds += now - before
        before = now
        finished = state.seconds >= settings.seconds
        save = finished or state.seconds - saved >= settings.checkpoint_seconds
        if not save and state.step % settings.report_steps:
            continue
        record = {
            "step": state.step,
            "tokens": state.step * settings.step_tokens,
            "seconds": round(state.seconds, 1),
            "loss": round(loss.item(), 4),
        }
        if not math.isfinite(record["loss"]):
            raise GendistError(f"step {state.step}: the loss is {record['loss']}; lower the learning rates")
        if save:
            record[HELD_OUT] = round(held_out_loss(loss_of, held_out, settings.batch), 4)
        _report(settings, record)
        rate = (state.step - first_step) * settings.step_tokens / (state.seconds - first_seconds)
        left = max(0.0, settings.seconds - state.seconds)
        log.info("%s  %.0f tokens/s, %.1f minutes left", record, rate, left / 60)
        if save:  # after the curve: a kill in between repeats a record, the other order would lose one
            save_checkpoint(settings, state, corpus)
            saved = state.seconds
            before = clock()


def _report(settings: Pretraining, record: dict[str, Any]) -> None:
    with settings.curve.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(record) + "\n")


@torch.no_grad()
def held_out_loss(loss_of: NextTokenLoss, windows: torch.Tensor, batch: int) -> float:
    """Return the mean nats per token of windows of ids, shape (windows, tokens), read ``batch`` at a time."""
    losses = [float(loss_of(part)) * len(part) for part in windows.split(batch)]
    return sum(losses) / len(windows)
