"""What made a file: input hashes, settings, seed, version and source models.

Nothing in it depends on the clock or on where the project lies, so that equal
inputs give equal bytes.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gendist import __version__

KEY = "gendist"
FILE = "gendist.json"
UNHASHED = {FILE, "timing.json"}
"""Files of a model folder that are no part of the model; a measured time differs from run to run."""


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content in hex."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_folder(path: Path) -> str:
    """Return one SHA-256 over the names and contents of a folder's files, provenance and times left out."""
    digest = hashlib.sha256()
    for name, content in file_hashes(path).items():
        digest.update(f"{name} {content}\n".encode())
    return digest.hexdigest()


def file_hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file in a folder and those below, provenance, times and hidden files left out."""
    files = (file for file in sorted(Path(folder).rglob("*")) if file.is_file() and file.name not in UNHASHED)
    return {file.relative_to(folder).as_posix(): hash_file(file) for file in files if not file.name.startswith(".")}


@dataclass(frozen=True)
class Provenance:
    """The record that every Parquet file and model folder carries."""

    stage: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Name of each input and the hash of its content."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The slice of the config that the stage read."""
    seed: int | None = None
    source_models: Mapping[str, str] = field(default_factory=dict)
    """Name or path of each pretrained model and the hash of its weights, or its hub revision."""

    def to_record(self) -> dict[str, Any]:
        """Return the record as plain values."""
        return {
            "stage": self.stage,
            "version": __version__,
            "inputs": dict(self.inputs),
            "settings": dict(self.settings),
            "seed": self.seed,
            "source_models": dict(self.source_models),
        }

    def to_json(self) -> str:
        """Serialise with sorted keys."""
        return json.dumps(self.to_record(), sort_keys=True, ensure_ascii=False)

    def to_file(self, folder: Path, files: Mapping[str, str] | None = None) -> None:
        """Write the record as ``gendist.json`` into a model folder, with the hashes of the folder's ``files``."""
        record = self.to_record() | ({"files": dict(files)} if files else {})
        text = json.dumps(record, sort_keys=True, ensure_ascii=False)
        (Path(folder) / FILE).write_text(text + "\n", encoding="utf-8")
