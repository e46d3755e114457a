"""Memorisation: do generated rows repeat the training rows more than unseen real rows do?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gendist.artifacts import read_parquet, write_text
from gendist.errors import GendistError
from gendist.quality.marks import GRAM
from gendist.quality.overlap import longest_runs, normalised, similarities
from gendist.report import escape
from gendist.report.generated import Generated
from gendist.report.write import Cell, markdown_table, write_csv
from gendist.synthetic.pool import read_pool
from gendist.texts.tables import read_texts

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
    """What some texts have in common with the real training rows; shares in percent of the texts."""

    rows: int
    copies: float
    """Equal to a training row but for case and white space."""
    duplicates: float
    """Equal to another of these texts in the same sense."""
    with_gram: float
    """With ``GRAM`` consecutive words of a training row; no text of fewer words has them."""
    median_run: float
    """Longest run of words of a training row, median over the texts."""
    longest_run: int
    similarity: float
    """Cosine of TF-IDF vectors with the nearest training row, mean over the texts; 0 to 1."""


def write_memorisation(
    datasets: Mapping[str, Generated], held_out: Mapping[str, Path], out_csv: Path, out_md: Path, seed: int = 0
) -> None:
    """Measure generated rows, and real rows that no training saw, against the real training rows.

    Args:
        datasets: files of each dataset's generated rows.
        held_out: each dataset's test rows; their texts alone are read. Of more rows than were
            generated, as many are drawn at random.
        out_csv: a line ``generated`` and a line ``held-out real`` for each dataset.
        out_md: the same in Markdown.
        seed: seed of the drawing.

    Raises:
        GendistError: if a file is missing or damaged, or the training rows hold no word.
    """
    rows: list[list[Cell]] = []
    cells = []
    for dataset, generated in datasets.items():
        real = read_texts(generated.train).texts
        made = read_pool(generated.shards, generated.rows).texts
        for name, texts in (("generated", made), ("held-out real", draw_texts(held_out[dataset], len(made), seed))):
            o = overlap(real, texts, generated.train)
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
    table = markdown_table([name.capitalize() for name in HEADER], cells, right=range(2, len(HEADER)))
    write_text(out_md, f"**Memorisation.** {escape.markdown(caption)}\n\n{table}")


def overlap(real: Sequence[str], texts: Sequence[str], train: Path) -> Overlap:
    """Measure what texts have in common with real rows.

    Raises:
        GendistError: if the real rows, which came from ``train``, hold no word.
    """
    known = {normalised(text) for text in real}
    times = Counter(map(normalised, texts))
    nearest = np.concatenate([cosines.max(axis=1) for cosines in similarities(real, texts, train)])
    runs = longest_runs(real, texts)
    percent = 100 / len(texts)
    return Overlap(
        rows=len(texts),
        copies=sum(n for text, n in times.items() if text in known) * percent,
        duplicates=sum(n for n in times.values() if n > 1) * percent,
        with_gram=int((runs >= GRAM).sum()) * percent,
        median_run=float(np.median(runs)),
        longest_run=int(runs.max()),
        similarity=float(nearest.mean()),
    )


def draw_texts(path: Path, rows: int, seed: int) -> list[str]:
    """Return the texts of at most so many random rows, in the order of the file."""
    texts = read_parquet(path, ["text"])["text"].to_pylist()
    if not texts or None in texts:
        raise GendistError(f"{path}: holds no rows, or rows without text")
    chosen = np.random.default_rng(seed).choice(len(texts), min(rows, len(texts)), replace=False)
    return [texts[i] for i in sorted(chosen)]
