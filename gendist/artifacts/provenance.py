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


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content in hex."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_folder(path: Path) -> str:
    """Return one SHA-256 over the names and contents of a folder's files, provenance left out."""
    digest = hashlib.sha256()
    for file in sorted(Path(path).rglob("*")):
        if file.is_file() and file.name != FILE and not file.name.startswith("."):
            digest.update(f"{file.relative_to(path).as_posix()} {hash_file(file)}\n".encode())
    return digest.hexdigest()


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

    def to_file(self, folder: Path) -> None:
        """Write the record as ``gendist.json`` into a model folder."""
        (Path(folder) / FILE).write_text(self.to_json() + "\n", encoding="utf-8")
