"""Table 3: random generated texts with the teacher's predictions (paper, Table 3)."""

from collections.abc import Mapping
from pathlib import Path

from scipy.special import softmax

from gendist.analysis.generated_rows import GeneratedPool, read_pool_logits, sample_rows
from gendist.analysis.table_files import Cell, markdown_table, write_csv
from gendist.errors import GendistError
from gendist.io import escape
from gendist.io.atomic_files import write_text
from gendist.stages.synthetic.detokenize import detokenize
from gendist.stages.texts.text_tables import read_texts

MAX_TEXT_LENGTH = 500
"""Characters of a text in Markdown; the CSV is not truncated."""


def write_table3(
    datasets: Mapping[str, GeneratedPool], *, out_csv: Path, out_md: Path, k: int = 8, seed: int = 0
) -> None:
    """Write k random generated rows of each dataset.

    Args:
        datasets: pool of each dataset, with logits.
        out_csv: dataset, row, label, probability (0 to 1), text as generated.
        out_md: a table per dataset, texts detokenised and truncated.
        k: maximum number of rows per dataset.
        seed: seed of the sampling.

    Raises:
        GendistError: if a file is missing or damaged, or logits and label names do not match.
    """
    rows: list[list[Cell]] = []
    parts = []
    for dataset, generated in datasets.items():
        sampled, with_text = sample_rows(generated, k, seed)
        names = read_texts(generated.train).label_names
        probabilities = softmax(read_pool_logits(generated.logits, [row for row, _ in sampled]), axis=1)  # (k, classes)
        if probabilities.shape[1] != len(names):
            raise GendistError(
                f"{generated.logits[0]}: {probabilities.shape[1]} classes, but {generated.train} names {len(names)}"
            )
        cells = []
        for (row, text), distribution in zip(sampled, probabilities, strict=True):
            best = int(distribution.argmax())
            label, probability = names[best], float(distribution[best])
            rows.append([dataset, row, label, round(probability, 4), text])
            short = escape.markdown(escape.shorten(detokenize(text), MAX_TEXT_LENGTH))
            cells.append([f"{row:,}", escape.markdown(label), f"{probability:.2f}", short])
        header = ["Row", "Teacher's label", "Probability", "Generated text"]
        title = f"{escape.markdown(dataset)}, {len(sampled)} of {with_text:,} rows"
        parts.append(f"### {title}\n\n{markdown_table(header, cells, align_right=(0, 2))}")
    write_csv(out_csv, ["dataset", "row", "label", "probability", "text"], rows)
    caption = (
        f"**Table 3.** Generated texts, drawn at random (seed {seed}) from all generated rows that hold text,"
        " each with the class that the teacher finds most probable and its probability."
        " Texts are shown detokenised; the CSV and the Parquet files hold them as generated."
        f" Texts over {MAX_TEXT_LENGTH} characters are cut; a model wrote them, so nothing in them need be true."
    )
    write_text(out_md, "\n".join([caption + "\n", *parts]))
