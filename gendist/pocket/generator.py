"""Pretrain the pocket generator on plain text, resumable at every checkpoint."""

import json
import logging
import os
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from gendist.errors import GendistError
from gendist.pocket.checkpoint import is_finished, load_checkpoint, save_body, save_checkpoint
from gendist.pocket.corpus import articles, corpus_files, paragraphs, token_stream
from gendist.pocket.evaluate import nats_per_character
from gendist.pocket.model import (
    WORD_EMBEDDINGS,
    TiedCrossEntropy,
    boundaries,
    encoder_tokenizer,
    trained_parameters,
    warm_start,
)
from gendist.pocket.settings import Pretraining

log = logging.getLogger(__name__)

STRETCH = 500_000
"""Tokens of the stream that are shuffled together."""


def learning_rate(step: int, settings: Pretraining) -> float:
    """Linear warm-up, plateau, linear decay over the last ``decay_share`` of the steps."""
    decay = settings.decay_share * settings.steps
    return settings.peak_lr * min(1.0, (step + 1) / settings.warmup_steps, max(0.0, settings.steps - step) / decay)


def windows(stream: np.ndarray, settings: Pretraining, rank: int, first: int = 0) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield (step, ids of shape (batch / workers, window + 1)) in a seeded order, from step ``first``.

    The order is shuffled within stretches of the stream, so that a longer stream goes on where a
    shorter one ended: training that is resumed with more tokens meets no window twice.
    """
    count = (len(stream) - 1) // settings.window
    stretch = max(1, STRETCH // settings.window)
    order = np.concatenate(
        [
            begin + np.random.default_rng([settings.seed, begin]).permutation(min(stretch, count - begin))
            for begin in range(0, count, stretch)
        ]
    )
    share = settings.batch // settings.workers
    offsets = np.arange(settings.window + 1)
    for step in range(first, settings.steps):
        begin = step * settings.batch + rank * share
        picks = order[np.arange(begin, begin + share) % count] * settings.window
        yield step, torch.from_numpy(stream[picks[:, None] + offsets].astype(np.int64))


def pretrain(settings: Pretraining) -> Path:
    """Run (or resume) the pretraining; return the file with the trained body in float16.

    The token stream is kept beside the checkpoint: resuming needs the same one.

    Raises:
        GendistError: if the corpus is missing or too short, or a checkpoint is of another run.
    """
    if is_finished(settings):
        return settings.body
    if torch.cuda.is_available() and settings.workers > torch.cuda.device_count():
        raise GendistError(f"{settings.workers} workers, but {torch.cuda.device_count()} GPUs: one worker per GPU")
    settings.out.mkdir(parents=True, exist_ok=True)
    stream_file = settings.out / f"stream-{settings.tokens}.npy"
    if not stream_file.exists():
        tokenizer = encoder_tokenizer(settings.base)
        texts = paragraphs(articles(corpus_files(settings.corpus), skip=settings.held_out_articles))
        stream = token_stream(texts, tokenizer, *boundaries(tokenizer), settings.tokens)
        if len(stream) <= settings.window:
            raise GendistError(
                f"corpus {settings.corpus}: {len(stream)} tokens after the first {settings.held_out_articles} articles,"
                f" which are held out; expected more than one window of {settings.window}"
            )
        part = stream_file.with_name("stream.part.npy")
        np.save(part, stream)
        part.replace(stream_file)
        log.info("%s: %d tokens", stream_file, len(stream))
    # The file that workers find each other by: one name for all, and none left over from a killed run.
    rendezvous = settings.out / "rendezvous"
    rendezvous.unlink(missing_ok=True)
    try:
        if settings.workers == 1:
            _train(0, settings, stream_file, rendezvous)
        else:
            torch.multiprocessing.spawn(_train, (settings, stream_file, rendezvous), nprocs=settings.workers)
    finally:
        rendezvous.unlink(missing_ok=True)
    return settings.body


def _train(rank: int, settings: Pretraining, stream_file: Path, rendezvous: Path) -> None:
    parent = os.getppid()
    torch.manual_seed(settings.seed)
    device = torch.device(f"cuda:{rank}" if torch.cuda.is_available() else "cpu")
    if settings.workers > 1:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")  # a process of its own
        if device.type == "cpu":
            torch.set_num_threads(1)
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, f"file://{rendezvous.resolve()}", rank=rank, world_size=settings.workers)
    stream = np.load(stream_file, mmap_mode="r", allow_pickle=False)
    tokenizer = encoder_tokenizer(settings.base)
    counts = np.bincount(np.asarray(stream), minlength=tokenizer.get_vocab_size())
    model = warm_start(counts, settings.base).train()
    model.to(device)
    parameters = [p for _, p in trained_parameters(model)]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98), fused=True)
    first = load_checkpoint(settings, model, optimizer)
    curve = settings.out / "curve.jsonl"
    if rank == 0:
        held_out = _held_out(settings)
        if first == 0:
            curve.unlink(missing_ok=True)
    # Cast once: autocast would cast the largest matrix of all at every step.
    word_embeddings = model.get_parameter(WORD_EMBEDDINGS).detach().bfloat16()
    head_bias = model.cls.predictions.bias.detach().bfloat16()
    began = time.monotonic()
    for step, ids in windows(stream, settings, rank, first):
        if os.getppid() != parent:
            raise SystemExit("the process that started this worker is gone")  # killed: nobody waits for the result
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, settings)
        ids = ids.to(device)
        with torch.autocast(device.type, torch.bfloat16):
            hidden = model.bert(input_ids=ids[:, :-1]).last_hidden_state
            hidden = model.cls.predictions.transform(hidden).bfloat16()  # (sequences, window, width)
        loss = TiedCrossEntropy.apply(hidden.flatten(0, 1), word_embeddings, head_bias, ids[:, 1:].flatten())
        loss.backward()
        _average_gradients(parameters, settings.workers)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        last = step == settings.steps - 1
        keep = last or step % settings.checkpoint_every == 0
        if rank == 0 and (keep or step % settings.report_every == 0):
            record = {"step": step, "tokens": (step + 1) * settings.step_tokens, "loss": round(loss.item(), 4)}
            if keep:
                score = nats_per_character(model.eval(), tokenizer, held_out)
                record["held_out_nats_per_char"] = round(score, 4)
                model.train()
            with curve.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(record) + "\n")
            if keep:  # after the curve: a kill in between repeats a record, the other order would lose one
                save_checkpoint(settings, model, optimizer, step + 1)
            rate = (step + 1 - first) * settings.step_tokens / (time.monotonic() - began)
            left = (settings.steps - step - 1) * settings.step_tokens / rate
            log.info("%s  %.0f tokens/s, %.0f minutes left", record, rate, left / 60)
    if rank == 0:
        save_body(settings, model, stream_file)
    if settings.workers > 1:
        dist.destroy_process_group()


def _average_gradients(parameters: list[torch.nn.Parameter], workers: int) -> None:
    """Replace each gradient by its mean over the workers, in one message.

    A parameter outside the loss (the head's bias) gets a gradient of zero, so that it has
    optimiser state, and with it a place in the checkpoint, like all others.
    """
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    if workers > 1:
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        flat /= workers
        pieces = flat.split([p.numel() for p in parameters])
        gradients = [piece.view_as(p) for p, piece in zip(parameters, pieces, strict=True)]
    for p, gradient in zip(parameters, gradients, strict=True):
        p.grad = gradient


def _held_out(settings: Pretraining) -> list[str]:
    """The first 150 paragraphs of at most 60 of the articles that are never trained on."""
    texts = articles(corpus_files(settings.corpus), limit=min(60, settings.held_out_articles))
    return list(islice(paragraphs(texts), 150))
