"""Token stream of the pretraining corpora, and shuffled windows over it."""

import hashlib
import logging
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from gendist.errors import GendistError
from gendist.io.provenance import hash_file
from gendist.nn.pocket.pocket_tokenizer import boundary_ids
from tools.pocket.corpus import articles, corpus_files, paragraphs, token_stream
from tools.pocket.pretraining_settings import Pretraining

log = logging.getLogger(__name__)


def corpus_paths(settings: Pretraining) -> list[Path]:
    """Return the Parquet files of all corpora in order, including repetitions.

    Raises:
        GendistError: if a corpus has no Parquet files.
    """
    return [file for folder in settings.corpora for file in corpus_files(folder)]


def stream_hash(settings: Pretraining, tokenizer: Tokenizer) -> str:
    """Return a SHA-256 hash of all inputs of the token stream."""
    hashes = {file: hash_file(file) for file in set(corpus_paths(settings))}
    digest = hashlib.sha256(f"{settings.held_out_articles} {tokenizer.to_str()}".encode())
    for file in corpus_paths(settings):
        digest.update(hashes[file].encode())
    return digest.hexdigest()


def training_stream(settings: Pretraining, tokenizer: Tokenizer) -> np.ndarray:
    """Return all training tokens, uint16; cached in a file next to the checkpoint.

    Raises:
        GendistError: if there are fewer tokens than one step needs.
    """
    file = settings.checkpoint.with_name(f"tokens-{stream_hash(settings, tokenizer)[:16]}.npy")
    if not file.exists():
        texts = paragraphs(articles(corpus_paths(settings), skip=settings.held_out_articles))
        part = file.with_name("tokens.part.npy")
        np.save(part, token_stream(texts, tokenizer, *boundary_ids(tokenizer)))
        part.replace(file)
    stream = np.load(file, allow_pickle=False)
    log.info("%d tokens to train on", len(stream))
    if steps_per_epoch(len(stream), settings) < 1:
        raise GendistError(
            f"{', '.join(map(str, settings.corpora))}: {len(stream)} tokens after the first"
            f" {settings.held_out_articles} held-out articles; one step needs {settings.step_tokens}"
            f" ({settings.batch} windows of {settings.window})"
        )
    return stream


def held_out_windows(settings: Pretraining, tokenizer: Tokenizer) -> torch.Tensor:
    """Return the first windows of the held-out articles, int64 (windows, window + 1), at most twice the batch size.

    Raises:
        GendistError: if the articles are shorter than one window.
    """
    texts = paragraphs(articles(corpus_files(settings.corpora[0]), limit=settings.held_out_articles))
    ids = token_stream(texts, tokenizer, *boundary_ids(tokenizer))
    width = settings.window + 1
    rows = min(2 * settings.batch, len(ids) // width)
    if not rows:
        raise GendistError(
            f"corpus {settings.corpora[0]}: the first {settings.held_out_articles} articles, which are held out, have"
            f" {len(ids)} tokens; scoring needs {width}"
        )
    return torch.from_numpy(ids[: rows * width].astype(np.int64)).view(rows, width)


def steps_per_epoch(tokens: int, settings: Pretraining) -> int:
    """Return the number of full steps per epoch over a stream."""
    return max(0, tokens - settings.window) // settings.window // settings.batch


def window_starts(tokens: int, settings: Pretraining, epoch: int) -> np.ndarray:
    """Return the shuffled start offsets of the windows of one epoch.

    Windows are contiguous from a random offset per epoch, so that window boundaries vary. The order depends only
    on seed and epoch: resuming needs no extra state.
    """
    rng = np.random.default_rng([settings.seed, epoch])
    windows = (tokens - settings.window) // settings.window
    return rng.permutation(windows) * settings.window + rng.integers(settings.window)


def iter_batches(stream: torch.Tensor, settings: Pretraining, first_step: int = 0) -> Iterator[torch.Tensor]:
    """Yield endless batches of ids (batch, window + 1), int64, starting at ``first_step``.

    Args:
        stream: token ids, on the training device.
        settings: settings of the run.
        first_step: finished steps.
    """
    per_epoch = steps_per_epoch(len(stream), settings)
    offsets = torch.arange(settings.window + 1, device=stream.device)
    for epoch in count(first_step // per_epoch):
        starts = torch.from_numpy(window_starts(len(stream), settings, epoch)).to(stream.device)
        begin = first_step % per_epoch if epoch == first_step // per_epoch else 0
        for step in range(begin, per_epoch):
            rows = starts[step * settings.batch : (step + 1) * settings.batch, None]
            yield stream[rows + offsets].long()
