"""``gendist run``: run a study and show how far it is."""

from pathlib import Path
from typing import Annotated

import typer

from gendist.cli.extras import EXTRA_MODULES, require_extra


def run(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Argument(metavar="[CONFIG]", help="The study's config; without one, config.yaml.")
    ] = None,
    cores: Annotated[int | None, typer.Option(min=1, help="Jobs side by side; without it, one per core.")] = None,
    profile: Annotated[
        str | None, typer.Option(help="A Snakemake profile: a name under profiles/ or a folder.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would run and why; run nothing.")] = False,
    export: Annotated[bool, typer.Option(help="Export the best student as a model to deploy.")] = True,
) -> None:
    """Run a study: everything that is not there yet or no longer up to date.

    Example: `gendist run reviews.yaml --cores 4`. Arguments after `--` go to Snakemake as they are.
    """
    require_extra("study")
    if profile in EXTRA_MODULES:  # the extra of a cluster has its profile's name
        require_extra(profile)
    from gendist.config import load_study
    from gendist.launcher.checkout import NO_EXPORT, require_config, ways_to_run
    from gendist.launcher.run import run_study
    from gendist.launcher.status import show_status

    further = [argument for argument in context.args if argument != "--"]
    if config is not None and str(config).startswith("-"):  # gendist run -- --forceall: no config was named
        further, config = [str(config), *further], None
    path = require_config(config)
    study = load_study(path)
    if not export:
        further = [*NO_EXPORT, *further]
    if dry_run:
        show_status(path, study, further)
        return
    raise typer.Exit(run_study(path, study, ways_to_run(cores, profile, further)))
