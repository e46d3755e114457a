"""``gendist push``: publish a finished model or its synthetic rows."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gendist.cli.extras import require_extra


class Kind(StrEnum):
    """What is published."""

    model = "model"
    dataset = "dataset"


def push(
    config: Annotated[
        Path | None, typer.Argument(metavar="[CONFIG]", help="Config of the study. Default: config.yaml.")
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="OWNER/NAME on the Hugging Face hub, or a folder such as ./handover.")
    ] = None,
    kind: Annotated[Kind, typer.Option(help="The exported model, or the synthetic rows with their logits.")] = (
        Kind.model
    ),
    dataset: Annotated[str | None, typer.Option(help="One dataset of the study.")] = None,
    public: Annotated[bool, typer.Option("--public", help="Make the repository public. Default: private.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Upload or copy. Default: only list the files.")] = False,
) -> None:
    """List the files to publish; with `--yes`, copy them to a folder or upload them to the hub.

    Example: `gendist push reviews.yaml --to me/reviews-classifier --yes`
    """
    require_extra("study")
    from gendist.analysis.cards import hub_upload
    from gendist.config import load_study
    from gendist.errors import GendistError
    from gendist.launcher.snakemake_command import require_config

    upload = hub_upload.collect_upload(load_study(require_config(config)), dataset, kind.value)
    folder = hub_upload.target_folder(to) if to else None
    visibility = "public" if public else "private"
    target = "no target yet: set --to" if to is None else str(folder) if folder else f"the hub: {to} ({visibility})"
    typer.echo(f"{kind.value}, to {target}")
    for line in hub_upload.list_files(upload):
        typer.echo(line)
    if upload.licence == hub_upload.NO_LICENCE:
        typer.echo("  The card names no licence; set one with: gendist card --license ID")
    if not yes:
        typer.echo("Nothing was sent. Add --yes to send.")
        return
    if to is None:
        raise GendistError("--yes needs a target: --to OWNER/NAME on the hub, or a folder")
    if folder is not None:
        hub_upload.copy_files(upload, folder)
        typer.echo(f"Copied to {folder}")
    else:
        typer.echo(f"Uploaded: {hub_upload.upload_files(upload, to, public)}")
