"""Short snippets of general text and their encoder embeddings, in Parquet shards."""

import logging
import multiprocessing
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gendist.errors import GendistError
from gendist.jobs.progress_log import Progress
from gendist.nn import devices
from gendist.nn.pretrained import MINILM
from gendist.stages.baselines.sentence_encoder import SentenceEncoder
from tools.pocket.corpus import articles, corpus_files, paragraphs

log = logging.getLogger(__name__)

SHARD_ROWS = 5000
MIN_WORDS, MAX_WORDS = 5, 60
"""Words per snippet, similar to labelled texts."""
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'])")


def iter_snippets(paragraph: str, rng: np.random.Generator) -> Iterator[str]:
    """Split a paragraph into snippets of sentences, each with a random target number of words.

    Longer sentences are truncated at the target.
    """
    words: list[str] = []
    target = int(rng.integers(MIN_WORDS, MAX_WORDS + 1))
    for sentence in SENTENCE_END.split(paragraph):
        words += sentence.split()
        if len(words) >= target:
            yield " ".join(words[:target])
            words, target = [], int(rng.integers(MIN_WORDS, MAX_WORDS + 1))
    if len(words) >= MIN_WORDS:
        yield " ".join(words)


def draw_snippets(corpora: Sequence[Path], count: int, held_out_articles: int = 300, seed: int = 0) -> list[str]:
    """Return distinct snippets in random order; the first n are a random sample.

    Args:
        corpora: folders of Parquet files with a column ``text``; a folder listed twice is read twice.
        count: maximum number of snippets.
        held_out_articles: rows to skip at the start of the first corpus.
        seed: seed of splits and order.

    Raises:
        GendistError: if a corpus is missing or not readable, or has no snippets.
    """
    rng = np.random.default_rng(seed)
    unique: dict[str, None] = {}
    for number, folder in enumerate(dict.fromkeys(corpora)):
        rows = articles(corpus_files(folder), skip=0 if number else held_out_articles)
        times = list(corpora).count(folder)
        parts = (iter_snippets(paragraph, rng) for paragraph in paragraphs(rows) for _ in range(times))
        unique.update(dict.fromkeys(chain.from_iterable(parts)))
    if not unique:
        raise GendistError(f"{corpora[0]}: the corpus has no paragraph of 80 characters or more")
    texts = list(unique)
    return [texts[i] for i in rng.permutation(len(texts))[:count]]


def embed_snippets(texts: Sequence[str], folder: Path, part: int = 0, parts: int = 1) -> list[Path]:
    """Write ``folder/00000.parquet`` and following: columns ``text`` and ``embedding`` (384 float16, unit length).

    Existing shards are kept, so that an interrupted run resumes with the first missing one.

    Args:
        texts: output of ``draw_snippets``.
        folder: folder to write to.
        part: index of this process; it writes the shards whose number modulo ``parts`` is ``part``.
        parts: number of processes.

    Returns:
        The shards of this process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers = range(part, -(-len(texts) // SHARD_ROWS), parts)
    files = [folder / f"{number:05d}.parquet" for number in numbers]
    missing = [(number, file) for number, file in zip(numbers, files, strict=True) if not file.exists()]
    progress = Progress("embedding snippets", len(files), "shards", initial=len(files) - len(missing))
    if not missing:
        return files
    encoder = SentenceEncoder(MINILM)
    for number, file in missing:
        rows = list(texts[number * SHARD_ROWS : (number + 1) * SHARD_ROWS])
        vectors = encoder.embed(rows).astype(np.float16)
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        temporary = file.with_suffix(".part")
        pq.write_table(pa.table({"text": rows, "embedding": column}), temporary)
        temporary.replace(file)
        progress.update(1)
    return files


def embed_in_processes(texts: Sequence[str], folder: Path, workers: int) -> list[Path]:
    """Embed snippets in ``workers`` single-threaded processes; returns all shards in order."""
    if workers == 1:
        return embed_snippets(texts, folder)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_initialise_worker) as pool:
        parts = [pool.submit(embed_snippets, texts, folder, part, workers) for part in range(workers)]
        return sorted(file for part in parts for file in part.result())


def _initialise_worker() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    devices.prepare(1, 0)


def read_snippets(files: Sequence[Path]) -> tuple[list[str], np.ndarray]:
    """Read texts and their float16 embeddings (texts, width) from shards."""
    tables = [pq.read_table(file) for file in files]
    width = tables[0].schema.field("embedding").type.list_size
    texts = [text for table in tables for text in table.column("text").to_pylist()]
    vectors = [chunk.flatten().to_numpy() for table in tables for chunk in table.column("embedding").chunks]
    return texts, np.concatenate(vectors).reshape(-1, width)
