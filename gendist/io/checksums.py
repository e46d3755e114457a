"""Checksums stored with model weights and verified before use: a flipped bit would otherwise go unnoticed."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path

from gendist.errors import GendistError
from gendist.io.provenance import PROVENANCE_FILE, file_hashes

CONTENT = "content"
"""Key of the checksum of all tensors, in the JSON record of a safetensors header."""


def with_checksum(tensors: bytes, record: str) -> str:
    """Return the JSON record of a safetensors header with the checksum of the tensors added.

    Args:
        tensors: a serialised safetensors file.
        record: a JSON object.
    """
    checksum = _sha256(_split(tensors)[1])
    return json.dumps({**json.loads(record), CONTENT: checksum}, sort_keys=True, ensure_ascii=False)


def verify_tensors(path: Path) -> None:
    """Verify the tensors of a safetensors file against the checksum in its header; a file without one passes.

    Raises:
        GendistError: if the file is missing, truncated, or does not match.
    """
    try:
        header, tensors = _split(Path(path).read_bytes())
        records = [json.loads(value) for value in header.get("__metadata__", {}).values() if value.startswith("{")]
    except FileNotFoundError:
        raise GendistError(f"{path}: no such file") from None
    except (OSError, ValueError, AttributeError) as error:
        raise GendistError(f"{path}: damaged ({str(error).splitlines()[0]}); delete it and rerun") from None
    found = _sha256(tensors)
    if any(record.get(CONTENT, found) != found for record in records):
        raise GendistError(f"{path}: damaged (checksum mismatch); delete it and rerun")


def _split(content: bytes) -> tuple[dict[str, dict[str, str]], bytes]:
    """Return the header and the tensors' bytes of a safetensors file."""
    start = 8 + int.from_bytes(content[:8], "little")
    if not 8 < start <= len(content):
        raise ValueError("truncated")
    return json.loads(content[8:start]), content[start:]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def verify_folder(folder: Path) -> None:
    """Verify the files of a model folder against its ``gendist.json``; a folder without checksums passes.

    Raises:
        GendistError: if a file is missing or does not match.
    """
    files = sorted(file for file in Path(folder).rglob("*") if file.is_file())
    # Cached: a job loads the tokenizer and the weights separately, but hashes the folder once.
    _verify(Path(folder), tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files))


@lru_cache
def _verify(folder: Path, state: tuple[tuple[Path, int, int], ...]) -> None:
    try:
        recorded = json.loads((folder / PROVENANCE_FILE).read_text(encoding="utf-8")).get("files", {})
    except FileNotFoundError:
        return
    except (OSError, ValueError, AttributeError) as error:
        raise GendistError(
            f"{folder / PROVENANCE_FILE}: damaged ({str(error).splitlines()[0]}); delete its folder and rerun"
        ) from None
    found = file_hashes(folder)
    for name, content in recorded.items():
        if name not in found:
            raise GendistError(
                f"{folder / name}: no such file, but {PROVENANCE_FILE} names it; delete its folder and rerun"
            )
        if found[name] != content:
            raise GendistError(
                f"{folder / name}: damaged (checksum differs from {PROVENANCE_FILE}); delete it and rerun"
            )
