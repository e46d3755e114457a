"""Table 4: generated texts and their nearest real training rows (paper, Table 4)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gendist.analysis.generated_rows import GeneratedPool, sample_rows
from gendist.analysis.quality.text_overlap import tfidf_similarities
from gendist.analysis.table_files import Cell, markdown_table, write_csv
from gendist.io import escape
from gendist.io.atomic_files import write_text
from gendist.stages.synthetic.detokenize import detokenize
from gendist.stages.texts.text_tables import Texts, read_texts

N_NEIGHBOURS = 3
MAX_TEXT_LENGTH = 400
"""Characters of a text in Markdown; the CSV is not truncated."""


def write_table4(
    datasets: Mapping[str, GeneratedPool], *, out_csv: Path, out_md: Path, k: int = 3, seed: int = 0
) -> None:
    """Write k random generated rows of each dataset with their three nearest training rows.

    The similarity is the cosine of TF-IDF vectors fitted on the training rows (paper, section 4.2).

    Args:
        datasets: pool of each dataset.
        out_csv: a row per generated row and neighbour, texts as generated; similarity is 0 to 1.
        out_md: a table per dataset, texts detokenised and truncated.
        k: maximum number of generated rows per dataset.
        seed: seed of the sampling.

    Raises:
        GendistError: if a file is missing or damaged, or the training rows have no words.
    """
    rows: list[list[Cell]] = []
    parts = []
    for dataset, generated in datasets.items():
        real = read_texts(generated.train)
        sampled, _ = sample_rows(generated, k, seed)
        neighbours, similarity = _nearest_rows(real.texts, [text for _, text in sampled], generated.train)
        for (row, text), indices, values in zip(sampled, neighbours, similarity, strict=True):
            for rank, (index, value) in enumerate(zip(indices, values, strict=True), start=1):
                label = real.label_names[real.labels[index]]
                neighbour = [rank, round(float(value), 4), int(real.ids[index]), label, real.texts[index]]
                rows.append([dataset, row, text, *neighbour])
        parts.append(f"### {escape.markdown(dataset)}\n\n{_markdown(real, sampled, neighbours, similarity)}")
    header = ["dataset", "row", "generated text", "rank", "similarity", "train id", "label", "training text"]
    write_csv(out_csv, header, rows)
    caption = (
        f"**Table 4.** Generated texts, drawn at random (seed {seed}), and the {N_NEIGHBOURS} real training rows"
        " nearest to each: cosine similarity of TF-IDF vectors fitted on the training rows (1 = the same words)."
        " Generated texts are shown detokenised; the CSV and the Parquet files hold them as generated."
        f" Texts over {MAX_TEXT_LENGTH} characters are cut."
    )
    write_text(out_md, "\n".join([caption + "\n", *parts]))


def _nearest_rows(real: Sequence[str], generated: Sequence[str], train: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return indices and similarities of the nearest real rows, both (generated, neighbours)."""
    similarity = np.concatenate(list(tfidf_similarities(real, generated, train)))
    neighbours = np.argsort(-similarity, axis=1, kind="stable")[:, :N_NEIGHBOURS]
    return neighbours, np.take_along_axis(similarity, neighbours, axis=1)


def _markdown(real: Texts, sampled: Sequence[tuple[int, str]], neighbours: np.ndarray, similarity: np.ndarray) -> str:
    header = ["", *(f"Row {row:,}" for row, _ in sampled)]
    rows = [["Generated", *(escape.markdown(escape.shorten(detokenize(text), MAX_TEXT_LENGTH)) for _, text in sampled)]]
    for rank in range(neighbours.shape[1]):
        cells = [f"Nearest {rank + 1}"]
        for indices, values in zip(neighbours, similarity, strict=True):
            index = indices[rank]
            label = escape.markdown(real.label_names[real.labels[index]])
            text = escape.markdown(escape.shorten(real.texts[index], MAX_TEXT_LENGTH))
            cells.append(f"**{label}** ({values[rank]:.2f}) {text}")
        rows.append(cells)
    return markdown_table(header, rows)
