"""``gendist status``: show which jobs of a study are done, which would run, and why."""

from pathlib import Path
from typing import Annotated

import typer

from gendist.cli.extras import require_extra


def status(
    config: Annotated[
        Path | None, typer.Argument(metavar="[CONFIG]", help="Config of the study. Default: config.yaml.")
    ] = None,
) -> None:
    """Show which jobs are done, which would run, and why: changed settings, code or data, or missing files.

    Example: `gendist status reviews.yaml`. Runs and writes nothing.
    """
    require_extra("study")
    from gendist.config import load_study
    from gendist.launcher.snakemake_command import require_config
    from gendist.launcher.study_status import show_status

    path = require_config(config)
    show_status(path, load_study(path))
