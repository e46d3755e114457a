"""``gendist export``: write the study's best student as a folder and as a page to deploy."""

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from gendist.cli.extras import require_extra
from gendist.errors import GendistError
from gendist.io.atomic_files import atomic_folder
from gendist.naming import EXPORTED_MODEL
from gendist.predict.exported_model import DESCRIPTION, INT8


def export(
    config: Annotated[
        Path | None, typer.Argument(metavar="[CONFIG]", help="Config of the study. Default: config.yaml.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Export only this dataset's student.")] = None,
    to: Annotated[
        Path | None, typer.Option(help="Copy the model here, in one folder per dataset if there are several.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="PAGE", help="Write the classifier as this HTML file, or as PAGE/DATASET.html if there are several."
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write the page (--html) of this exported model; runs no study."),
    ] = None,
    cores: Annotated[int | None, typer.Option(min=1, help="Parallel jobs. Default: one per core.")] = None,
) -> None:
    """Choose the best student on held-out training rows, calibrate it and write it as ONNX and as one HTML page.

    Runs missing jobs of the study first. The model is in RESULTS/DATASET/export/model. The page, classifier.html
    beside it, classifies texts and tables in a browser, without a server or a network.

    Examples: `gendist export reviews.yaml --to model/`, `gendist export --model model/ --html reviews.html`
    """
    require_extra("study")
    if model is not None:
        if html is None or config is not None or dataset is not None or to is not None or cores is not None:
            raise GendistError("--model FOLDER needs --html PAGE and takes no config and no other option")
        _require_writable_page(html)
        _write_page(model, html)
        return
    from gendist.config import load_study
    from gendist.launcher.snakemake_command import require_config, scheduling_arguments
    from gendist.launcher.study_run import run_jobs

    path = require_config(config)
    study = load_study(path)
    if dataset is not None and dataset not in study.datasets:
        raise GendistError(f"{path}: no dataset '{dataset}' (has {', '.join(study.datasets)})")
    names = [dataset] if dataset else list(study.datasets)
    folders = [Path(study.results) / name / EXPORTED_MODEL for name in names]
    copies = {} if to is None else dict(zip([to] if len(names) == 1 else [to / n for n in names], folders, strict=True))
    pages = [] if html is None else [html] if len(names) == 1 else [html / f"{name}.html" for name in names]
    for copy in copies:
        _require_replaceable(copy)
    for page in pages:
        _require_writable_page(page)
    targets = [
        str(target) for folder in folders for target in (folder / DESCRIPTION, folder.parent / "classifier.html")
    ]
    status = run_jobs(path, study, [*scheduling_arguments(cores, None), "--", *targets])
    if status:
        raise typer.Exit(status)
    for copy, folder in copies.items():
        with atomic_folder(copy) as part:
            shutil.copytree(folder, part, dirs_exist_ok=True)
    for folder in copies or folders:
        typer.echo(_summary(folder))
    for folder, page in zip(folders, pages, strict=bool(pages)):
        _write_page(folder, page)


def _write_page(model: Path, page: Path) -> None:
    from gendist.stages.export.classifier_page.write_page import write_page

    write_page(model, page)
    typer.echo(f"{page}: page of {page.stat().st_size / 1e6:.2f} MB; open it in a browser")


def _summary(folder: Path) -> str:
    """Describe an exported model in one line."""
    description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    held_out, test = description["held_out"], description["test"]
    scores = f"accuracy {test['int8']['accuracy']:.1%} on the test rows ({held_out['accuracy']:.1%} in cross-fitting)"
    size = description["bytes"][INT8] / 1e6
    return f"{folder}: {description['chosen']['system']}, {scores}, {size:.2f} MB"


def _require_replaceable(target: Path) -> None:
    """Raise if a path exists and is neither an empty folder nor an exported model."""
    if target.exists() and not (target / DESCRIPTION).is_file() and (target.is_file() or any(target.iterdir())):
        raise GendistError(f"{target}: exists and is not an exported model; choose another folder")


def _require_writable_page(page: Path) -> None:
    """Raise if a path has no suffix of HTML, or exists and is not a classifier's page."""
    from gendist.stages.export.classifier_page.page_mark import is_classifier_page

    if page.suffix.lower() not in (".html", ".htm"):
        raise GendistError(f"{page}: a page needs a name that ends in .html")
    if page.exists() and not is_classifier_page(page):
        raise GendistError(f"{page}: exists and is not a classifier's page; choose another name")
