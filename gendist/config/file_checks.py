"""Checks that the files and folders named by a study exist, before anything runs."""

import re
import shlex
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from gendist.config.student_settings import PACKAGED_EMBEDDINGS
from gendist.config.study import Study
from gendist.errors import GendistError
from gendist.io.regular_files import require_regular_file

EMBEDDED = ("pocket", "minilm")
CLOCK_SKEW = 60.0
"""Seconds by which a file server's clock may be ahead."""
HUB_ID = re.compile("[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")


def require_files(study: Study) -> None:
    """Require the data files, embeddings and model folders named by a study, and a folder or nothing as its results.

    Raises:
        GendistError: if one is missing, or modified in the future, for which Snakemake fails a job after its work;
            names the file and the key.
    """
    results = Path(study.results)
    for folder in (results, *results.parents):
        if folder.exists() and not folder.is_dir():
            raise GendistError(f"{folder}: is a file, expected a folder (key 'results')")
    for path, key in _named_files(study):
        require_regular_file(path, f" (key '{key}')")
        modified = path.stat().st_mtime
        if modified > time.time() + CLOCK_SKEW:
            date = datetime.fromtimestamp(modified).isoformat(" ", "minutes")
            raise GendistError(
                f"{path}: modified in the future ({date}); run: touch {shlex.quote(str(path))} (key '{key}')"
            )
    for model, key in _named_models(study):
        if Path(model).is_dir():
            if not (Path(model) / "config.json").is_file():
                raise GendistError(f"model {model}: no config.json there; expected a transformers folder (key '{key}')")
        elif not HUB_ID.fullmatch(model):
            raise GendistError(f"model {model}: not a folder, and not a valid hub id (key '{key}')")


def _named_files(study: Study) -> Iterator[tuple[Path, str]]:
    for name, dataset in study.datasets.items():
        for split, path in (("train", dataset.train), ("test", dataset.test), ("unlabelled", dataset.unlabelled)):
            if path is not None:
                yield Path(path), f"datasets.{name}.{split}"
    for generator, _, rows in given_rows(study):
        yield rows, f"generators.{generator}.rows"
    for name, student in study.students.items():
        if student.embeddings not in PACKAGED_EMBEDDINGS and not student.embeddings.startswith("bpemb:"):
            for file in ("tokenizer.json", "vectors.safetensors"):
                yield Path(student.embeddings) / file, f"students.{name}.embeddings"


def _named_models(study: Study) -> Iterator[tuple[str, str]]:
    loaded = {name: entry for name, entry in study.generators.items() if entry.kind not in ("rows", "endpoint")}
    for section, entries in (("generators", loaded), ("teachers", study.teachers)):
        for name, entry in entries.items():
            if entry.model not in EMBEDDED:
                yield entry.model, f"{section}.{name}.model"


def given_rows(study: Study) -> Iterator[tuple[str, str, Path]]:
    """Yield (generator, dataset, file) for every generator with ``rows``."""
    for name, generator in study.generators.items():
        if generator.rows is not None:
            for dataset in study.datasets:
                yield name, dataset, Path(rows_file(generator.rows, dataset))


def rows_file(rows: str, dataset: str) -> str:
    """Return the file of a generator's ``rows`` for a dataset."""
    return rows.replace("{dataset}", dataset)
