"""``gendist run``: run a study and show its progress."""

from pathlib import Path
from typing import Annotated

import typer

from gendist.cli.extras import EXTRA_MODULES, require_extra
from gendist.errors import GendistError


def run(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Argument(metavar="[CONFIG]", help="Config of the study. Default: config.yaml.")
    ] = None,
    cores: Annotated[int | None, typer.Option(min=1, help="Parallel jobs. Default: one per core.")] = None,
    profile: Annotated[
        str | None, typer.Option(help="A Snakemake profile: a name under profiles/ or a folder.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show which jobs would run and why; run nothing.")
    ] = False,
    export: Annotated[bool, typer.Option(help="Export the best student as a model to deploy.")] = True,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Only one student, with shorter trainings and no report: a first classifier in minutes."
        ),
    ] = False,
) -> None:
    """Run all jobs of a study that are missing or out of date.

    Example: `gendist run reviews.yaml --cores 4`. Arguments after `--` are passed to Snakemake.
    A run without `--quick` continues from what `--quick` made.
    """
    require_extra("study")
    if profile in EXTRA_MODULES:  # the extra of a cluster is named like its profile
        require_extra(profile)
    from gendist.config import load_study
    from gendist.launcher.quick_run import run_quick
    from gendist.launcher.snakemake_command import NO_EXPORT, require_config, scheduling_arguments
    from gendist.launcher.study_run import run_study
    from gendist.launcher.study_status import show_status

    snakemake_args = [argument for argument in context.args if argument != "--"]
    if config is not None and str(config).startswith("-"):  # gendist run -- --forceall: no config given
        snakemake_args, config = [str(config), *snakemake_args], None
    if snakemake_args and Path(snakemake_args[0]).suffix in (".yaml", ".yml"):
        raise GendistError(f"one config at a time is accepted: {config}, or {snakemake_args[0]}")
    path = require_config(config)
    study = load_study(path)
    if quick:
        if not export:
            raise GendistError("--quick ends with the export; remove --no-export, or --quick")
        scheduling = scheduling_arguments(cores, profile, snakemake_args)
        raise typer.Exit(run_quick(path, study, scheduling, dry_run=dry_run))
    if not export:
        snakemake_args = [*NO_EXPORT, *snakemake_args]
    if dry_run:
        show_status(path, study, snakemake_args)
        return
    raise typer.Exit(run_study(path, study, scheduling_arguments(cores, profile, snakemake_args)))
