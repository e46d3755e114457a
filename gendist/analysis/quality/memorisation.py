"""Memorisation: overlap of generated rows with the training rows, compared with held-out real rows."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gendist.analysis.generated_rows import GeneratedPool
from gendist.analysis.quality.text_overlap import TfidfSimilarity, longest_runs, normalise
from gendist.analysis.table_files import Cell, markdown_table, write_csv
from gendist.errors import GendistError
from gendist.io import escape
from gendist.io.atomic_files import write_text
from gendist.io.parquet import read_parquet
from gendist.stages.synthetic.pool_reader import iter_pool_batches
from gendist.stages.synthetic.repeats_table import GRAM
from gendist.stages.texts.text_tables import read_texts

HEADER = [
    "dataset",
    "texts",
    "rows",
    "copies, %",
    "duplicates, %",
    f"with {GRAM}-gram, %",
    "longest run, median",
    "longest run, max",
    "similarity",
]


@dataclass(frozen=True)
class Overlap:
    """Overlap of texts with the training rows; shares in percent of the texts."""

    rows: int
    copies: float
    """Equal to a training row, ignoring case and white space."""
    duplicates: float
    """Equal to another of these texts, ignoring case and white space."""
    with_gram: float
    """With ``GRAM`` consecutive words of a training row."""
    median_run: float
    """Median over the texts of the longest run of words shared with a training row."""
    longest_run: int
    similarity: float
    """Mean over the texts of the TF-IDF cosine with the nearest training row; 0 to 1."""


def write_memorisation(
    datasets: Mapping[str, GeneratedPool], held_out: Mapping[str, Path], *, out_csv: Path, out_md: Path, seed: int = 0
) -> None:
    """Measure the overlap of generated rows and of held-out real rows with the training rows.

    Args:
        datasets: pool of each dataset.
        held_out: test rows of each dataset; labels are ignored. At most as many rows as were generated are sampled.
        out_csv: rows ``generated`` and ``held-out real`` per dataset.
        out_md: the same in Markdown.
        seed: seed of the sampling.

    Raises:
        GendistError: if a file is missing or damaged, or the training rows have no words.
    """
    rows: list[list[Cell]] = []
    cells = []
    for dataset, generated in datasets.items():
        real = read_texts(generated.train).texts
        made = measure_overlap(
            real, (pool.texts for pool in iter_pool_batches(generated.shards, generated.rows)), generated.train
        )
        unseen = measure_overlap(real, [sample_texts(held_out[dataset], made.rows, seed)], generated.train)
        for name, o in (("generated", made), ("held-out real", unseen)):
            shares = [round(share, 2) for share in (o.copies, o.duplicates, o.with_gram)]
            rows.append([dataset, name, o.rows, *shares, o.median_run, o.longest_run, round(o.similarity, 4)])
            runs = [f"{o.median_run:g}", f"{o.longest_run:,}"]
            shown = [f"{o.rows:,}", *(f"{share:.2f}" for share in shares), *runs, f"{o.similarity:.3f}"]
            cells.append([escape.markdown(dataset), name, *shown])
    write_csv(out_csv, HEADER, rows)
    caption = (
        "What generated rows have in common with the real training rows, beside the same measures of held-out real"
        f" rows (test texts, at most as many, seed {seed}), which the generator never saw. Values of the generated"
        " rows well above those of the held-out rows mean that the generator copies. In percent of the rows: copies"
        " of a training row and duplicates of another row of the same line (but for case and white space), and rows"
        f" with at least one run of {GRAM} words taken verbatim from a training row. Longest run: consecutive words"
        " of one training row, median and maximum over the rows. Similarity: cosine of TF-IDF vectors (fitted on the"
        " training rows) with the nearest training row, mean. Rows without text are left out; duplicates and"
        " maximum grow with the number of rows, runs with the length of the texts."
    )
    table = markdown_table([name.capitalize() for name in HEADER], cells, align_right=range(2, len(HEADER)))
    write_text(out_md, f"**Memorisation.** {escape.markdown(caption)}\n\n{table}")


def measure_overlap(real: Sequence[str], batches: Iterable[Sequence[str]], train: Path) -> Overlap:
    """Measure the overlap of batches of texts with real rows; keeps 24 bytes per text.

    Raises:
        GendistError: if the real rows, read from ``train``, have no words.
    """
    reference = {normalise(text) for text in real}
    similarity_to = TfidfSimilarity(real, train)
    copies, parts = 0, []
    for texts in batches:
        same = [normalise(text) for text in texts]
        copies += sum(text in reference for text in same)
        cosines = [part.max(axis=1) for part in similarity_to.cosines(texts)]
        prints = np.array([_fingerprint(text) for text in same], np.uint64)
        parts.append((prints, np.concatenate(cosines or [np.zeros(0)]), longest_runs(real, texts)))
    prints, nearest, runs = (np.concatenate(column) for column in zip(*parts, strict=True))
    times = np.unique(prints, return_counts=True)[1]
    percent = 100 / len(prints)
    return Overlap(
        rows=len(prints),
        copies=copies * percent,
        duplicates=int(times[times > 1].sum()) * percent,
        with_gram=int((runs >= GRAM).sum()) * percent,
        median_run=float(np.median(runs)),
        longest_run=int(runs.max()),
        similarity=float(nearest.mean()),
    )


def _fingerprint(text: str) -> int:
    """Return a 64-bit hash: a pool of a million texts has a collision with probability 1 in 37 million."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def sample_texts(path: Path, rows: int, seed: int) -> list[str]:
    """Sample at most ``rows`` texts, in the order of the file."""
    texts = read_parquet(path, ["text"])["text"].to_pylist()
    if not texts or None in texts:
        raise GendistError(f"{path}: no rows, or rows without text")
    chosen = np.random.default_rng(seed).choice(len(texts), min(rows, len(texts)), replace=False)
    return [texts[i] for i in sorted(chosen)]
