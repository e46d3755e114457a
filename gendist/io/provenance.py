"""Provenance of a file: input hashes, settings, seed, package version and source models.

It is independent of the clock and of the project's location, so equal inputs give equal bytes.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gendist import __version__

PROVENANCE_KEY = "gendist"
"""Metadata key of the record in Parquet and safetensors files."""
PROVENANCE_FILE = "gendist.json"
"""File of the record in a model folder."""
UNHASHED = {PROVENANCE_FILE, "timing.json"}
"""Files of a model folder that are not part of the model; measured times differ between runs."""


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content in hex."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_folder(path: Path) -> str:
    """Return one SHA-256 over the names and contents of a folder's files, as listed by ``file_hashes``."""
    digest = hashlib.sha256()
    for name, content in file_hashes(path).items():
        digest.update(f"{name} {content}\n".encode())
    return digest.hexdigest()


def file_hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file below a folder, by relative path; ``UNHASHED`` and hidden files are excluded."""
    files = (file for file in sorted(Path(folder).rglob("*")) if file.is_file() and file.name not in UNHASHED)
    return {file.relative_to(folder).as_posix(): hash_file(file) for file in files if not file.name.startswith(".")}


@dataclass(frozen=True)
class Provenance:
    """The record stored in every Parquet file and model folder."""

    stage: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each input, by name."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The config values that the stage read."""
    seed: int | None = None
    source_models: Mapping[str, str] = field(default_factory=dict)
    """Hash of the weights, or hub revision, of each pretrained model, by name or path."""

    def to_record(self) -> dict[str, Any]:
        """Return the record as JSON-compatible values."""
        return {
            "stage": self.stage,
            "version": __version__,
            "inputs": dict(self.inputs),
            "settings": dict(self.settings),
            "seed": self.seed,
            "source_models": dict(self.source_models),
        }

    def to_json(self) -> str:
        """Return the record as JSON with sorted keys."""
        return json.dumps(self.to_record(), sort_keys=True, ensure_ascii=False)

    def to_file(self, folder: Path, files: Mapping[str, str] | None = None) -> None:
        """Write the record to ``gendist.json`` in a model folder; ``files`` are checksums by relative path."""
        record = self.to_record() | ({"files": dict(files)} if files else {})
        text = json.dumps(record, sort_keys=True, ensure_ascii=False)
        (Path(folder) / PROVENANCE_FILE).write_text(text + "\n", encoding="utf-8")
