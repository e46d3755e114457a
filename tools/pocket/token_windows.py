"""What a pretraining run reads: the token stream of its corpora, and the windows of it in their order."""

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
from gendist.nn.pocket.tokenizer import boundaries
from tools.pocket.corpus import articles, corpus_files, paragraphs, token_stream
from tools.pocket.pretraining_settings import Pretraining

log = logging.getLogger(__name__)


def corpus_paths(settings: Pretraining) -> list[Path]:
    """Return the Parquet files of all corpora in reading order, repeated as the corpora are.

    Raises:
        GendistError: if a corpus has none.
    """
    return [file for folder in settings.corpora for file in corpus_files(folder)]


def stream_hash(settings: Pretraining, tokenizer: Tokenizer) -> str:
    """Return one SHA-256 over everything that the token stream depends on."""
    hashes = {file: hash_file(file) for file in set(corpus_paths(settings))}
    digest = hashlib.sha256(f"{settings.held_out_articles} {tokenizer.to_str()}".encode())
    for file in corpus_paths(settings):
        digest.update(hashes[file].encode())
    return digest.hexdigest()


def training_stream(settings: Pretraining, tokenizer: Tokenizer) -> np.ndarray:
    """Return all tokens to train on, uint16; they are kept in a file beside the checkpoint for the next start.

    Raises:
        GendistError: if they are fewer than one step takes.
    """
    file = settings.checkpoint.with_name(f"tokens-{stream_hash(settings, tokenizer)[:16]}.npy")
    if not file.exists():
        texts = paragraphs(articles(corpus_paths(settings), skip=settings.held_out_articles))
        part = file.with_name("tokens.part.npy")
        np.save(part, token_stream(texts, tokenizer, *boundaries(tokenizer)))
        part.replace(file)
    stream = np.load(file, allow_pickle=False)
    log.info("%d tokens to train on", len(stream))
    if steps_per_pass(len(stream), settings) < 1:
        raise GendistError(
            f"{', '.join(map(str, settings.corpora))}: {len(stream)} tokens after the first"
            f" {settings.held_out_articles} articles, which are held out; one step takes {settings.step_tokens}"
            f" ({settings.batch} windows of {settings.window})"
        )
    return stream


def held_out_windows(settings: Pretraining, tokenizer: Tokenizer) -> torch.Tensor:
    """Return the first windows of the held-out articles, int64 (at most twice the batch, window + 1).

    Raises:
        GendistError: if the articles do not fill one window.
    """
    texts = paragraphs(articles(corpus_files(settings.corpora[0]), limit=settings.held_out_articles))
    ids = token_stream(texts, tokenizer, *boundaries(tokenizer))
    width = settings.window + 1
    rows = min(2 * settings.batch, len(ids) // width)
    if not rows:
        raise GendistError(
            f"corpus {settings.corpora[0]}: the first {settings.held_out_articles} articles, which are held out, have"
            f" {len(ids)} tokens; scoring needs {width}"
        )
    return torch.from_numpy(ids[: rows * width].astype(np.int64)).view(rows, width)


def steps_per_pass(tokens: int, settings: Pretraining) -> int:
    """Return how many steps one pass over a stream takes; the windows of an incomplete step are left out."""
    return max(0, tokens - settings.window) // settings.window // settings.batch


def window_starts(tokens: int, settings: Pretraining, epoch: int) -> np.ndarray:
    """Return where the windows of one pass start, in shuffled order.

    Windows follow each other from an offset that each pass draws anew, so that a text is cut elsewhere
    every time. The order depends on the seed and the pass alone: a resumed run needs no state for it.
    """
    rng = np.random.default_rng([settings.seed, epoch])
    windows = (tokens - settings.window) // settings.window
    return rng.permutation(windows) * settings.window + rng.integers(settings.window)


def iter_batches(stream: torch.Tensor, settings: Pretraining, first_step: int = 0) -> Iterator[torch.Tensor]:
    """Yield ids of shape (batch, window + 1), int64, from ``first_step`` on and without end.

    Args:
        stream: token ids, on the device that trains.
        settings: of the run.
        first_step: steps taken before.
    """
    per_pass = steps_per_pass(len(stream), settings)
    offsets = torch.arange(settings.window + 1, device=stream.device)
    for epoch in count(first_step // per_pass):
        starts = torch.from_numpy(window_starts(len(stream), settings, epoch)).to(stream.device)
        begin = first_step % per_pass if epoch == first_step // per_pass else 0
        for step in range(begin, per_pass):
            rows = starts[step * settings.batch : (step + 1) * settings.batch, None]
            yield stream[rows + offsets].long()
