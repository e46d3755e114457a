"""Table 4: generated texts and their nearest real training rows (paper, Table 4)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gendist.analysis.generated_rows import GeneratedPool, sample_rows
from gendist.analysis.quality.text_overlap import tfidf_similarities
from gendist.analysis.table_files import Cell, markdown_table, write_csv
from gendist.io import escape
from gendist.io.files import write_text
from gendist.stages.synthetic.readable import detokenize
from gendist.stages.texts.tables import Texts, read_texts

N_NEIGHBOURS = 3
MAX_TEXT_LENGTH = 400
"""Characters of a text in Markdown; CSV has all of it."""


def write_table4(datasets: Mapping[str, GeneratedPool], out_csv: Path, out_md: Path, k: int = 3, seed: int = 0) -> None:
    """Write k random generated rows of each dataset with their three nearest training rows.

    Near is the cosine of TF-IDF vectors, fitted on the real training rows (paper, section 4.2).

    Args:
        datasets: files of each dataset.
        out_csv: one line per generated row and neighbour, texts as generated; similarity is 0 to 1.
        out_md: a table per dataset, generated texts detokenised, long texts cut.
        k: generated rows to draw; fewer where fewer hold text.
        seed: seed of the drawing.

    Raises:
        GendistError: if a file is missing or damaged, or the training rows hold no word.
    """
    rows: list[list[Cell]] = []
    parts = []
    for dataset, generated in datasets.items():
        real = read_texts(generated.train)
        drawn, _ = sample_rows(generated, k, seed)
        near, similarity = _nearest_rows(real.texts, [text for _, text in drawn], generated.train)
        for (row, text), places, values in zip(drawn, near, similarity, strict=True):
            for rank, (place, value) in enumerate(zip(places, values, strict=True), start=1):
                label = real.label_names[real.labels[place]]
                neighbour = [rank, round(float(value), 4), int(real.ids[place]), label, real.texts[place]]
                rows.append([dataset, row, text, *neighbour])
        parts.append(f"### {escape.markdown(dataset)}\n\n{_markdown(real, drawn, near, similarity)}")
    header = ["dataset", "row", "generated text", "rank", "similarity", "train id", "label", "training text"]
    write_csv(out_csv, header, rows)
    caption = (
        f"**Table 4.** Generated texts, drawn at random (seed {seed}), and the {N_NEIGHBOURS} real training rows nearest"
        " to each: cosine similarity of TF-IDF vectors fitted on the training rows (1 = the same words)."
        " Generated texts are shown detokenised; the CSV and the Parquet files hold them as generated."
        f" Texts over {MAX_TEXT_LENGTH} characters are cut."
    )
    write_text(out_md, "\n".join([caption + "\n", *parts]))


def _nearest_rows(real: Sequence[str], generated: Sequence[str], train: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return places and similarities of the nearest real rows, both (generated, neighbours)."""
    similarity = np.concatenate(list(tfidf_similarities(real, generated, train)))
    near = np.argsort(-similarity, axis=1, kind="stable")[:, :N_NEIGHBOURS]
    return near, np.take_along_axis(similarity, near, axis=1)


def _markdown(real: Texts, drawn: Sequence[tuple[int, str]], near: np.ndarray, similarity: np.ndarray) -> str:
    header = ["", *(f"Row {row:,}" for row, _ in drawn)]
    rows = [["Generated", *(escape.markdown(escape.shorten(detokenize(text), MAX_TEXT_LENGTH)) for _, text in drawn)]]
    for rank in range(near.shape[1]):
        cells = [f"Nearest {rank + 1}"]
        for places, values in zip(near, similarity, strict=True):
            place = places[rank]
            label = escape.markdown(real.label_names[real.labels[place]])
            cells.append(
                f"**{label}** ({values[rank]:.2f}) {escape.markdown(escape.shorten(real.texts[place], MAX_TEXT_LENGTH))}"
            )
        rows.append(cells)
    return markdown_table(header, rows)
