"""``gendist card``: model card and dataset card of a finished study."""

from pathlib import Path
from typing import Annotated

import typer


def card(
    config: Annotated[Path, typer.Argument(metavar="[CONFIG]", help="The study's config.")] = Path("config.yaml"),
    dataset: Annotated[str | None, typer.Option(help="One dataset of the study; without it, all.")] = None,
    licence: Annotated[
        str, typer.Option("--license", help="A licence's id on the hub, such as cc-by-4.0; yours to choose.")
    ] = "unknown",
) -> None:
    """Write the model card and the card of the synthetic rows of a finished study.

    Example: `gendist card reviews.yaml --license cc-by-4.0`
    """
    from gendist.cards.write import write_cards
    from gendist.config import load_study

    study = load_study(config)
    for name in study.datasets if dataset is None else [dataset]:
        for path in write_cards(study, name, licence):
            typer.echo(path)
