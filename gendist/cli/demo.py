"""``gendist demo``: run the default study in a folder of its own."""

import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

from gendist.cli.extras import require_extra
from gendist.errors import GendistError


def demo(
    folder: Annotated[Path, typer.Argument(help="Folder of the study; created, or resumed.")] = Path("gendist-demo"),
    cores: Annotated[int | None, typer.Option(min=1, help="Parallel jobs; one per core by default.")] = None,
) -> None:
    """Run the default study: news texts of four classes, from data to a deployable classifier.

    The folder receives the data, the config and the results. Run the same command again to resume.
    """
    require_extra("study")
    from gendist.config import load_study
    from gendist.launcher.snakemake_command import CONFIG, scheduling_arguments, workflow_folder
    from gendist.launcher.study_run import run_study

    source, config = workflow_folder(), folder / CONFIG
    try:
        if not config.exists():
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise GendistError(f"{folder}: exists and is not a demo; name another folder")
            shutil.copytree(source / "data" / "newsbriefs", folder / "data" / "newsbriefs", dirs_exist_ok=True)
            shutil.copy2(source / CONFIG, config)  # last: it marks the folder as complete
        os.chdir(folder)
    except OSError as error:
        raise GendistError(f"{folder}: cannot be used ({error.strerror})") from None
    typer.echo(f"The default study, in {folder}")
    raise typer.Exit(run_study(Path(CONFIG), load_study(Path(CONFIG)), scheduling_arguments(cores, None)))
