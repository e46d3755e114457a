"""``gendist push``: hand a finished model or its synthetic rows on."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gendist.cli.extras import require_extra


class Kind(StrEnum):
    """What is handed on."""

    model = "model"
    dataset = "dataset"


def push(
    config: Annotated[
        Path | None, typer.Argument(metavar="[CONFIG]", help="The study's config; without one, config.yaml.")
    ] = None,
    to: Annotated[str | None, typer.Option(help="OWNER/NAME on the hub, or a folder such as ./handover.")] = None,
    kind: Annotated[Kind, typer.Option(help="The exported model, or the synthetic rows with their logits.")] = (
        Kind.model
    ),
    dataset: Annotated[str | None, typer.Option(help="One dataset of the study.")] = None,
    public: Annotated[bool, typer.Option("--public", help="Let everybody see it; private otherwise.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Send; without it, only say what would be sent.")] = False,
) -> None:
    """Show what would be handed on, and with `--yes` copy it to a folder or upload it to the hub.

    Example: `gendist push reviews.yaml --to me/reviews-classifier --yes`
    """
    require_extra("study")
    from gendist.analysis.cards import hub_upload as parcels
    from gendist.config import load_study
    from gendist.errors import GendistError
    from gendist.launcher.checkout import require_config

    parcel = parcels.collect_upload(load_study(require_config(config)), dataset, kind.value)
    folder = parcels.target_folder(to) if to else None
    seen = "public" if public else "private"
    target = "nowhere yet: say --to" if to is None else str(folder) if folder else f"the hub: {to} ({seen})"
    typer.echo(f"{kind.value}, to {target}")
    for line in parcels.list_files(parcel):
        typer.echo(line)
    if parcel.licence == parcels.LICENCE:
        typer.echo("  The card names no licence; set one with: gendist card --license ID")
    if not yes:
        typer.echo("Nothing was sent. Add --yes to send it.")
        return
    if to is None:
        raise GendistError("--yes needs a target: --to OWNER/NAME on the hub, or a folder")
    if folder is not None:
        parcels.copy_files(parcel, folder)
        typer.echo(f"Copied to {folder}")
    else:
        typer.echo(f"Uploaded: {parcels.upload(parcel, to, public)}")
