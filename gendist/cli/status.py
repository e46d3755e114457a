"""``gendist status``: what a study has, what would run again, and why."""

from pathlib import Path
from typing import Annotated

import typer

from gendist.cli.extras import require_extra


def status(
    config: Annotated[
        Path | None, typer.Argument(metavar="[CONFIG]", help="The study's config; without one, config.yaml.")
    ] = None,
) -> None:
    """Say what is done, what would run, and why: settings, code or data that changed, or files that are missing.

    Example: `gendist status reviews.yaml`. Nothing is run or written.
    """
    require_extra("study")
    from gendist.config import load_study
    from gendist.launcher.snakemake_command import require_config
    from gendist.launcher.study_status import show_status

    path = require_config(config)
    show_status(path, load_study(path))
