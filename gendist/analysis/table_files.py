"""Write tables as CSV, Markdown and Parquet."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa

from gendist.io import escape
from gendist.io.atomic_files import write_text
from gendist.io.parquet import write_parquet
from gendist.io.provenance import Provenance

Cell = str | int | float | None
MISSING = "-"
"""Cell without a value in Markdown and LaTeX."""

MAX_PADDED_WIDTH = 40
"""Markdown columns up to this width are padded."""


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Write CSV with spreadsheet formulas escaped; None is an empty cell."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in (header, *rows):
        writer.writerow([escape.csv(cell) if isinstance(cell, str) else cell for cell in row])
    write_text(path, out.getvalue())


def write_plot_data(path: Path, table: pa.Table, provenance: Provenance) -> None:
    """Write the data of a figure as CSV or Parquet, by the suffix of ``path``."""
    if Path(path).suffix == ".parquet":
        write_parquet(path, table, provenance)
    else:
        write_csv(path, table.column_names, [list(row.values()) for row in table.to_pylist()])


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], align_right: Sequence[int] = ()) -> str:
    """Format a Markdown table. Cells must be escaped.

    Args:
        header: column names.
        rows: cells.
        align_right: indices of right-aligned columns.
    """
    table = [list(header), *map(list, rows)]
    widths = [max(3, *(len(row[i]) for row in table)) for i in range(len(header))]
    widths = [width if width <= MAX_PADDED_WIDTH else 0 for width in widths]
    lines = []
    for row in table:
        cells = [
            c.rjust(w) if i in align_right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"| {' | '.join(cells)} |")
    rules = ["-" * (max(w, 3) - 1) + (":" if i in align_right else "-") for i, w in enumerate(widths)]
    return "\n".join([lines[0], f"| {' | '.join(rules)} |", *lines[1:]]) + "\n"


def format_mean(mean: float | None, spread: float | None, digits: int = 1) -> str:
    """Format ``mean ± spread``; without ``spread``, only the mean."""
    if mean is None:
        return MISSING
    text = f"{mean:.1f}"
    return text if spread is None else f"{text} ± {spread:.{digits}f}"


def format_seeds(counts: Iterable[int]) -> str:
    """Format the numbers of seeds: ``5 seeds``, or ``1 to 5 seeds``."""
    counts = sorted(counts)
    low, high = counts[0], counts[-1]
    return f"{high} seed{'s' if high > 1 else ''}" if low == high else f"{low} to {high} seeds"
