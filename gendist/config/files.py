"""Whether the user's files that a study names are there, before anything runs."""

from collections.abc import Iterator
from pathlib import Path

from gendist.config.study import Study
from gendist.errors import GendistError


def require_files(study: Study) -> None:
    """Look for the data files and embeddings folders that a study names.

    Raises:
        GendistError: for the first that is missing; one line with the file and the key.
    """
    for path, key in _named_files(study):
        if not path.is_file():
            raise GendistError(f"{path}: no such file (key '{key}')")


def _named_files(study: Study) -> Iterator[tuple[Path, str]]:
    for name, dataset in study.datasets.items():
        for split, path in (("train", dataset.train), ("test", dataset.test)):
            if path is not None:
                yield Path(path), f"datasets.{name}.{split}"
    for name, student in study.students.items():
        if student.embeddings != "pocket" and not student.embeddings.startswith("bpemb:"):
            for file in ("tokenizer.json", "vectors.safetensors"):
                yield Path(student.embeddings) / file, f"students.{name}.embeddings"
