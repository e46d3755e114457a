"""Small text and JSON files that appear whole or not at all."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_bytes(path: Path, content: bytes) -> None:
    """Write under a temporary name beside ``path``, then rename; parent folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text with the line ends that it has."""
    write_bytes(path, content.encode())


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a JSON object with sorted keys; a NaN or an infinity is a ValueError."""
    text = json.dumps(record, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")
