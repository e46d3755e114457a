"""``gendist card``: model card and dataset card of a finished study."""

from pathlib import Path
from typing import Annotated

import typer

from gendist.cli.extras import require_extra


def card(
    config: Annotated[
        Path | None, typer.Argument(metavar="[CONFIG]", help="Config of the study. Default: config.yaml.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="One dataset of the study. Default: all.")] = None,
    licence: Annotated[
        str, typer.Option("--license", help="License id of the Hugging Face hub, such as cc-by-4.0.")
    ] = "unknown",
) -> None:
    """Write the model card and the dataset card of a finished study.

    Example: `gendist card reviews.yaml --license cc-by-4.0`
    """
    require_extra("study")
    from gendist.analysis.cards.write_cards import write_cards
    from gendist.config import load_study
    from gendist.launcher.snakemake_command import require_config

    study = load_study(require_config(config))
    for name in study.datasets if dataset is None else [dataset]:
        for path in write_cards(study, name, licence):
            typer.echo(path)
