"""``gendist export``: the study's best student as a folder to deploy."""

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from gendist.cli.extras import require_extra
from gendist.errors import GendistError
from gendist.io.atomic_files import atomic_folder


def export(
    config: Annotated[
        Path | None, typer.Argument(metavar="[CONFIG]", help="The study's config; without one, config.yaml.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Export this dataset's student alone.")] = None,
    to: Annotated[
        Path | None, typer.Option(help="Copy the model folder here (one folder per dataset where there are several).")
    ] = None,
    cores: Annotated[int | None, typer.Option(min=1, help="Jobs side by side; without it, one per core.")] = None,
) -> None:
    """Choose the best student on held-out training rows, calibrate it and write it as ONNX files.

    Runs what the study lacks for it. The model is left in RESULTS/DATASET/export/model.

    Example: `gendist export reviews.yaml --to model/`
    """
    require_extra("study")
    from gendist.config import load_study
    from gendist.launcher.snakemake_command import require_config, scheduling_arguments
    from gendist.launcher.study_run import run_jobs

    path = require_config(config)
    study = load_study(path)
    if dataset is not None and dataset not in study.datasets:
        raise GendistError(f"{path}: no dataset '{dataset}' (has {', '.join(study.datasets)})")
    names = [dataset] if dataset else list(study.datasets)
    folders = [Path(study.results) / name / "export" / "model" for name in names]
    copies = {} if to is None else dict(zip([to] if len(names) == 1 else [to / n for n in names], folders, strict=True))
    for copy in copies:
        _require_replaceable(copy)
    targets = [str(folder / "gendist-model.json") for folder in folders]
    status = run_jobs(path, study, [*scheduling_arguments(cores, None), "--", *targets])
    if status:
        raise typer.Exit(status)
    for copy, folder in copies.items():
        with atomic_folder(copy) as part:
            shutil.copytree(folder, part, dirs_exist_ok=True)
    for folder in copies or folders:
        typer.echo(_summary(folder))


def _summary(folder: Path) -> str:
    """Say in a line what was exported."""
    described = json.loads((folder / "gendist-model.json").read_text(encoding="utf-8"))
    held_out, test = described["held_out"], described["test"]
    shares = f"accuracy {held_out['accuracy']:.1%} on held-out rows, {test['int8']['accuracy']:.1%} on the test rows"
    size = described["bytes"]["model.int8.onnx"] / 1e6
    return f"{folder}: {described['chosen']['system']}, {shares}, {size:.2f} MB"


def _require_replaceable(target: Path) -> None:
    """Refuse to replace anything but an earlier export."""
    if (
        target.exists()
        and not (target / "gendist-model.json").is_file()
        and (target.is_file() or any(target.iterdir()))
    ):
        raise GendistError(f"{target}: is there and holds something else than an exported model; name another folder")
