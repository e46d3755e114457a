"""Small files and weights that appear whole or not at all, and JSON read back."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gendist.errors import GendistError
from gendist.io.atomic import whole_file
from gendist.io.checksums import sealed
from gendist.io.regular_files import require_regular

if TYPE_CHECKING:
    import torch


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes."""
    with whole_file(path) as part:
        part.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text with the line ends that it has."""
    write_bytes(path, content.encode())


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a JSON object with sorted keys; a NaN or an infinity is a ValueError."""
    text = json.dumps(record, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def write_tensors(path: Path, tensors: Mapping[str, "torch.Tensor"], metadata: tuple[str, str] | None = None) -> None:
    """Write safetensors.

    Args:
        path: the file.
        tensors: by name.
        metadata: a key and its value, a JSON object, to which the hash of the tensors is added. One key only:
            several are written in random order.
    """
    from safetensors.torch import save  # this module stays light for jobs without torch

    contiguous = {name: value.contiguous() for name, value in tensors.items()}
    key, value = metadata or ("format", "pt")
    # Not save_file: it writes to a temporary file of its own, under a name that nobody could tell after a kill.
    write_bytes(path, save(contiguous, {key: sealed(save(contiguous), value) if metadata else value}))


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        GendistError: if the file is missing or damaged, or a number in it is none.
    """
    require_regular(path)
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_refuse)
    except (OSError, ValueError, RecursionError) as error:
        raise GendistError(f"{path}: damaged ({str(error).splitlines()[0]}); delete it and run again") from None
    if not isinstance(record, dict):
        raise GendistError(f"{path}: damaged (not a JSON object); delete it and run again")
    return record
