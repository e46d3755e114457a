"""The folder of an exported student, read and checked."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gendist.errors import GendistError

FLOAT32, INT8, TOKENIZER, DESCRIPTION = "model.onnx", "model.int8.onnx", "tokenizer.json", "gendist-model.json"
FORMAT = 1
"""Number of the layout that is described here; a folder with a higher one needs a newer gendist."""


@dataclass(frozen=True)
class Model:
    """An exported student: files of the folder, and what ``gendist-model.json`` says of them."""

    network: bytes
    """ONNX: (ids, mask), both (rows, pieces) int64, to logits (rows, classes) float32."""
    tokenizer: str
    """JSON of the ``tokenizers`` library."""
    labels: list[str]
    """Class names in the order of the logits."""
    temperature: float
    """What logits are divided by, so that their softmax is calibrated."""
    max_pieces: int
    """Longer texts are cut."""
    text_columns: list[str]
    """Columns that the training texts were made of ..."""
    separator: str
    """... and what stood between them."""


def read_model(folder: Path, int8: bool) -> Model:
    """Read an exported student.

    Raises:
        GendistError: if a file is missing, damaged or not of this export.
    """
    folder = Path(folder)
    description = _description(folder)
    try:
        hashes = {str(name): str(value) for name, value in description["files"].items()}
        network = _checked(folder / (INT8 if int8 else FLOAT32), hashes)
        tokenizer = _checked(folder / TOKENIZER, hashes).decode()
        return Model(
            network=network,
            tokenizer=tokenizer,
            labels=[str(label) for label in description["labels"]],
            temperature=float(description["temperature"]),
            max_pieces=int(description["max_pieces"]),
            text_columns=[str(column) for column in description["text"]["columns"]],
            separator=str(description["text"]["separator"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GendistError(f"{folder / DESCRIPTION}: damaged ({error!r}); export the model again") from None


def _description(folder: Path) -> dict[str, Any]:
    file = folder / DESCRIPTION
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise GendistError(f"{folder}: no exported model (no {DESCRIPTION} there); gendist export makes one") from None
    except (OSError, ValueError) as error:
        raise GendistError(f"{file}: cannot be read ({str(error).splitlines()[0]})") from None
    if not isinstance(found, dict) or not isinstance(found.get("format"), int):
        raise GendistError(f"{file}: damaged (no 'format'); export the model again")
    if found["format"] > FORMAT:
        raise GendistError(f"{file}: format {found['format']}; this gendist reads up to {FORMAT}, install a newer one")
    return found


def _checked(file: Path, hashes: dict[str, str]) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise GendistError(f"{file}: cannot be read ({error.strerror})") from None
    if hashlib.sha256(content).hexdigest() != hashes[file.name]:
        raise GendistError(f"{file}: damaged, or from another export (its hash is not that in {DESCRIPTION})")
    return content
