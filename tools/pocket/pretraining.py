"""Pretrain the pocket generator on plain text for a fixed time, with checkpoints."""

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
from gendist.nn.pocket.minilm import PACKAGE, encoder_folder
from gendist.nn.pocket.pocket_tokenizer import generator_tokenizer
from tools.pocket.checkpoint import PretrainingState, load_checkpoint, save_checkpoint
from tools.pocket.generator_model import NextTokenLoss, generator_config, stack_encoder, trained_weights
from tools.pocket.optimizers import learning_rate_factor, make_optimizers, optimizer_step
from tools.pocket.pack_generator import pack_generator
from tools.pocket.pretraining_settings import HELD_OUT, Pretraining
from tools.pocket.token_windows import corpus_paths, held_out_windows, iter_batches, stream_hash, training_stream

log = logging.getLogger(__name__)


def pretrain(settings: Pretraining, clock: Callable[[], float] = time.monotonic) -> Path:
    """Run or resume the pretraining, on a GPU if available; returns the file of int8 weights.

    Args:
        settings: settings of the run.
        clock: monotonic clock in seconds.

    Raises:
        GendistError: if a corpus is missing or too short, a checkpoint does not match, or the loss diverges.
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
    state = PretrainingState(model, make_optimizers(model, settings))
    corpus = stream_hash(settings, tokenizer)
    load_checkpoint(settings, state, corpus)
    if state.step == 0:
        settings.curve.unlink(missing_ok=True)
    loss = NextTokenLoss(model, compiled=device.type == "cuda")
    if device.type == "cuda":
        loss(held_out[: settings.batch]).backward()  # compile before timing starts
        model.zero_grad()
    stream = torch.from_numpy(ids.astype(np.int32)).to(device)
    _train(settings, state, stream, loss_of=loss, held_out=held_out, corpus=corpus, clock=clock)
    provenance = Provenance(
        "pocket-generator",
        inputs={file.name: hash_file(file) for file in corpus_paths(settings)},
        settings=settings.recipe,
        seed=settings.seed,
        source_models={settings.base.name if settings.base else PACKAGE: hash_file(encoder / "model.safetensors")},
    )
    config = generator_config(encoder, settings.layers)
    weights = {name: p.cpu() for name, p in trained_weights(model, config.vocab_size).items()}
    pack_generator(settings.out, weights=weights, config=config, tokenizer=tokenizer, provenance=provenance)
    return settings.weights


def is_finished(settings: Pretraining) -> bool:
    """Return whether the weights exist and match these settings."""
    if not settings.weights.exists():
        return False
    with safe_open(settings.weights, "pt") as stored:
        provenance = json.loads((stored.metadata() or {}).get(PROVENANCE_KEY, "{}"))
    return provenance.get("settings") == settings.recipe and provenance.get("seed") == settings.seed


def _train(
    settings: Pretraining,
    state: PretrainingState,
    stream: torch.Tensor,
    *,
    loss_of: NextTokenLoss,
    held_out: torch.Tensor,
    corpus: str,
    clock: Callable[[], float],
) -> None:
    """Train until the time limit; evaluation and checkpoints are not timed."""
    first_step, first_seconds = state.step, state.seconds
    saved = state.seconds
    before = clock()
    for ids in iter_batches(stream, settings, state.step):
        if state.seconds >= settings.seconds:
            return
        loss = loss_of(ids)
        loss.backward()
        optimizer_step(state.optimizers, learning_rate_factor(state.step, state.seconds, settings), settings)
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
        _append_record(settings, record)
        rate = (state.step - first_step) * settings.step_tokens / (state.seconds - first_seconds)
        remaining = max(0.0, settings.seconds - state.seconds)
        log.info("%s  %.0f tokens/s, %.1f minutes left", record, rate, remaining / 60)
        if save:  # after the curve: if killed in between, a record is repeated rather than lost
            save_checkpoint(settings, state, corpus)
            saved = state.seconds
            before = clock()


def _append_record(settings: Pretraining, record: dict[str, Any]) -> None:
    with settings.curve.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(record) + "\n")


@torch.no_grad()
def held_out_loss(loss_of: NextTokenLoss, windows: torch.Tensor, batch: int) -> float:
    """Return the mean loss in nats per token of windows (windows, tokens), in batches of ``batch``."""
    losses = [float(loss_of(part)) * len(part) for part in windows.split(batch)]
    return sum(losses) / len(windows)
