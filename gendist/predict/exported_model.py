"""Load and verify the folder of an exported student."""

import hashlib
import json
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gendist.errors import GendistError
from gendist.io.regular_files import require_regular_file

FLOAT32, INT8, TOKENIZER, DESCRIPTION = "model.onnx", "model.int8.onnx", "tokenizer.json", "gendist-model.json"
LOOKUP_WEIGHTS = "look-up.safetensors"
FORMAT = 2
"""Format version of the folder; a higher one needs a newer gendist. Since 2, Kim may have a position embedding."""
MAX_DESCRIPTION_BYTES, MAX_FILE_BYTES = 10_000_000, 1_000_000_000
"""Limits for untrusted folders. A network of a million parameters has 4.5 million bytes."""


def required_extras(files: Container[str]) -> str:
    """Return the extras of gendist that load an export of these files: without look-up tables, also ONNX Runtime."""
    return "predict" if LOOKUP_WEIGHTS in files else "predict,onnx"


@dataclass(frozen=True)
class ExportedModel:
    """An exported student: its files and the fields of ``gendist-model.json``."""

    network: bytes
    """ONNX model: (ids, mask), both (rows, pieces) int64, to logits (rows, classes) float32; empty if
    ``lookup_weights`` is used."""
    lookup_weights: bytes | None
    """Safetensors for ``LookupNetwork``, or None."""
    tokenizer: str
    """JSON of the ``tokenizers`` library."""
    labels: list[str]
    """Class names in the order of the logits."""
    temperature: float
    """Calibration temperature: logits are divided by it before the softmax."""
    max_pieces: int
    """Maximum number of pieces; longer texts are truncated."""
    text_columns: list[str]
    """Text columns of the training data."""
    separator: str
    """Separator between joined text columns."""
    architecture: str = ""
    """Architecture of the student, such as kim."""


def load_exported_model(folder: Path, int8: bool, use_lookup: bool = False) -> ExportedModel:
    """Load an exported student.

    Args:
        folder: the export.
        int8: read int8 weights, else float32.
        use_lookup: with ``int8``, read the lookup weights in place of the ONNX model if the folder has them.

    Raises:
        GendistError: if a file is missing, damaged or of another export.
    """
    folder = Path(folder)
    description = _read_description(folder)
    try:
        hashes = {str(name): str(value) for name, value in description["files"].items()}
        has_lookup = use_lookup and int8 and LOOKUP_WEIGHTS in hashes
        lookup_weights = _read_verified(folder / LOOKUP_WEIGHTS, hashes) if has_lookup else None
        network = b"" if has_lookup else _read_verified(folder / (INT8 if int8 else FLOAT32), hashes)
        tokenizer = _read_verified_text(folder / TOKENIZER, hashes)
        model = ExportedModel(
            network=network,
            lookup_weights=lookup_weights,
            tokenizer=tokenizer,
            labels=_string_list(description["labels"]),
            temperature=float(description["temperature"]),
            max_pieces=int(description["max_pieces"]),
            text_columns=_string_list(description["text"]["columns"]),
            separator=str(description["text"]["separator"]),
            architecture=str(description.get("architecture", "")),
        )
        _validate(model)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise GendistError(f"{folder / DESCRIPTION}: damaged ({reason}); export the model again") from None
    return model


def _read_verified_text(file: Path, hashes: dict[str, str]) -> str:
    try:
        return _read_verified(file, hashes).decode()
    except UnicodeDecodeError as error:
        raise GendistError(
            f"{file}: cannot be read (not UTF-8 at byte {error.start}); export the model again"
        ) from None


def _string_list(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError("expected a list of names")
    return value


def _validate(model: ExportedModel) -> None:
    """Validate the fields of an untrusted folder."""
    if not model.labels or len(set(model.labels)) < len(model.labels):
        raise ValueError("labels are empty or not unique")
    if not 0 < model.temperature < float("inf"):
        raise ValueError(f"temperature is {model.temperature}")
    if not 1 <= model.max_pieces <= 1_000_000:
        raise ValueError(f"max_pieces is {model.max_pieces}")


def _read_description(folder: Path) -> dict[str, Any]:
    file = folder / DESCRIPTION
    try:
        if not file.exists():
            raise GendistError(f"{folder}: no exported model ({DESCRIPTION} is missing); gendist export writes one")
        found = json.loads(_read_limited(file, MAX_DESCRIPTION_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise GendistError(f"{file}: cannot be read ({str(error).splitlines()[0]})") from None
    if not isinstance(found, dict) or not isinstance(found.get("format"), int):
        raise GendistError(f"{file}: damaged (no 'format'); export the model again")
    if found["format"] > FORMAT:
        raise GendistError(
            f"{file}: format {found['format']} is not supported; this gendist reads up to {FORMAT}, install a newer one"
        )
    return found


def _read_limited(file: Path, max_bytes: int) -> bytes:
    if require_regular_file(file) > max_bytes:
        raise GendistError(f"{file}: larger than {max_bytes:,} bytes, the limit for exported models")
    return file.read_bytes()


def _read_verified(file: Path, hashes: dict[str, str]) -> bytes:
    try:
        content = _read_limited(file, MAX_FILE_BYTES)
    except OSError as error:
        raise GendistError(f"{file}: cannot be read ({error.strerror})") from None
    if hashlib.sha256(content).hexdigest() != hashes[file.name]:
        raise GendistError(f"{file}: damaged, or from another export (its SHA-256 differs from {DESCRIPTION})")
    return content
