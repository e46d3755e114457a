"""``gendist compare``: two or more studies side by side."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gendist.cli.extras import require_extra


class Score(StrEnum):
    """Compared metric."""

    ACCURACY = "accuracy"
    MACRO_F1 = "macro_f1"


def compare(
    studies: Annotated[list[Path], typer.Argument(metavar="A B [...]", help="Results folders or configs.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the table to a .csv or .md file.")] = None,
    score: Annotated[Score, typer.Option(help="Metric to compare.")] = Score.ACCURACY,
) -> None:
    """Compare the systems of two or more finished studies: means, differences, and paired tests over seeds.

    Example: `gendist compare results/before results/after -o change.md`.
    """
    require_extra("study")
    from gendist.analysis.report.compare_studies import compare_studies as compare_studies
    from gendist.analysis.report.compare_studies import comparison_caption, read_studies, table_cells, write_comparison
    from gendist.errors import GendistError

    if len(studies) < 2:
        raise GendistError(f"compare needs two or more results folders or configs, got {studies[0]}")
    read = read_studies(studies, score)
    lines, names = compare_studies(read), [study.name for study in read]
    if out:
        write_comparison(out, lines, names, score)
        typer.echo(f"Written: {out}")
        return
    _show(*table_cells(lines, names), comparison_caption(score))


def _show(header: list[str], rows: list[list[str]], caption: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from gendist.io.escape import collapse_whitespace

    table = Table(box=box.SIMPLE_HEAD)
    for index, name in enumerate(header):
        table.add_column(Text(name), justify="right" if index > 2 else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(collapse_whitespace(cell)) for cell in row))
    console = Console()
    # Only a terminal folds columns; a file or pipe gets the full width.
    console = console if console.is_terminal else Console(width=max(200, console.width))
    console.print(table)
    typer.echo(caption)
