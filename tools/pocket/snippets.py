"""Short general texts and the encoder's embeddings of them, in Parquet shards."""

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
from gendist.stages.baselines.encoder import Encoder
from tools.pocket.corpus import articles, corpus_files, paragraphs

log = logging.getLogger(__name__)

SHARD_ROWS = 5000
SHORTEST, LONGEST = 5, 60
"""Words of a snippet: labelled texts are about as long."""
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'])")


def snippets(paragraph: str, rng: np.random.Generator) -> Iterator[str]:
    """Cut a paragraph into snippets of whole sentences, each up to a random number of words.

    A sentence that is longer than the drawn number is cut there.
    """
    words: list[str] = []
    wanted = int(rng.integers(SHORTEST, LONGEST + 1))
    for sentence in SENTENCE_END.split(paragraph):
        words += sentence.split()
        if len(words) >= wanted:
            yield " ".join(words[:wanted])
            words, wanted = [], int(rng.integers(SHORTEST, LONGEST + 1))
    if len(words) >= SHORTEST:
        yield " ".join(words)


def draw_snippets(corpora: Sequence[Path], count: int, held_out_articles: int = 300, seed: int = 0) -> list[str]:
    """Return different snippets in random order, so that the first n of them are a sample of all.

    Args:
        corpora: folders of Parquet files with a column ``text``; one that is listed twice counts twice.
        count: snippets wanted; fewer are returned where the corpora have no more.
        held_out_articles: rows at the head of the first corpus that are left out.
        seed: of the cuts and the order.

    Raises:
        GendistError: if a corpus is missing or not readable, or there is no snippet.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, None] = {}
    for number, folder in enumerate(dict.fromkeys(corpora)):
        rows = articles(corpus_files(folder), skip=0 if number else held_out_articles)
        times = list(corpora).count(folder)
        parts = (snippets(paragraph, rng) for paragraph in paragraphs(rows) for _ in range(times))
        found.update(dict.fromkeys(chain.from_iterable(parts)))
    if not found:
        raise GendistError(f"{corpora[0]}: the corpus holds no paragraph of 80 characters or more")
    texts = list(found)
    return [texts[i] for i in rng.permutation(len(texts))[:count]]


def embed_snippets(texts: Sequence[str], folder: Path, part: int = 0, parts: int = 1) -> list[Path]:
    """Write ``folder/00000.parquet`` and following: columns ``text`` and ``embedding`` (384 float16, unit length).

    Shards that exist are kept, so that a stopped run resumes at the first that is missing.

    Args:
        texts: from ``draw_snippets``.
        folder: where to.
        part: this process writes each shard whose number modulo ``parts`` is ``part``.
        parts: processes that share the work.

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
    encoder = Encoder(MINILM)
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
    """Embed snippets in ``workers`` processes of one thread each; return all shards in order."""
    if workers == 1:
        return embed_snippets(texts, folder)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_log_and_use_one_thread) as pool:
        parts = [pool.submit(embed_snippets, texts, folder, part, workers) for part in range(workers)]
        return sorted(file for part in parts for file in part.result())


def _log_and_use_one_thread() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    devices.prepare(1, 0)


def read_snippets(files: Sequence[Path]) -> tuple[list[str], np.ndarray]:
    """Return texts and their embeddings (texts, width), float16, from shards."""
    tables = [pq.read_table(file) for file in files]
    width = tables[0].schema.field("embedding").type.list_size
    texts = [text for table in tables for text in table.column("text").to_pylist()]
    vectors = [chunk.flatten().to_numpy() for table in tables for chunk in table.column("embedding").chunks]
    return texts, np.concatenate(vectors).reshape(-1, width)
