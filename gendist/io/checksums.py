"""Content hashes kept beside weights, and compared before they are used: a flipped bit would else go unnoticed."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path

from gendist.errors import GendistError
from gendist.io.provenance import FILE, file_hashes

CONTENT = "content"
"""Key of the hash of all tensors in the JSON record of a safetensors header."""


def sealed(tensors: bytes, record: str) -> str:
    """Add the hash of tensors (as a safetensors file) to a JSON record that goes into the header of such a file."""
    return json.dumps({**json.loads(record), CONTENT: _hash(_data(tensors)[1])}, sort_keys=True, ensure_ascii=False)


def require_intact_tensors(path: Path) -> None:
    """Compare the tensors of a safetensors file with the hash in its header; one without a hash passes.

    Raises:
        GendistError: if the file is missing, cut short, or not what was written.
    """
    try:
        header, data = _data(Path(path).read_bytes())
        records = [json.loads(value) for value in header.get("__metadata__", {}).values() if value.startswith("{")]
    except FileNotFoundError:
        raise GendistError(f"{path}: no such file") from None
    except (OSError, ValueError, AttributeError) as error:
        raise GendistError(f"{path}: damaged ({str(error).splitlines()[0]}); delete it and run again") from None
    found = _hash(data)
    if any(record.get(CONTENT, found) != found for record in records):
        raise GendistError(f"{path}: damaged (not the weights that its header names); delete it and run again")


def _data(tensors: bytes) -> tuple[dict[str, dict[str, str]], bytes]:
    start = 8 + int.from_bytes(tensors[:8], "little")
    if not 8 < start <= len(tensors):
        raise ValueError("it is cut short")
    return json.loads(tensors[8:start]), tensors[start:]


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def require_intact_folder(folder: Path) -> None:
    """Compare the files of a model folder with the hashes in its ``gendist.json``; one without any passes.

    Raises:
        GendistError: if a file is missing or not what was written.
    """
    files = sorted(file for file in Path(folder).rglob("*") if file.is_file())
    # A job loads tokenizer and weights one after the other, and hashes them once.
    _compare(Path(folder), tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files))


@lru_cache
def _compare(folder: Path, state: tuple[tuple[Path, int, int], ...]) -> None:
    try:
        recorded = json.loads((folder / FILE).read_text(encoding="utf-8")).get("files", {})
    except FileNotFoundError:
        return
    except (OSError, ValueError, AttributeError) as error:
        raise GendistError(
            f"{folder / FILE}: damaged ({str(error).splitlines()[0]}); delete its folder and run again"
        ) from None
    found = file_hashes(folder)
    for name, content in recorded.items():
        if name not in found:
            raise GendistError(f"{folder / name}: no such file, but {FILE} names it; delete its folder and run again")
        if found[name] != content:
            raise GendistError(f"{folder / name}: damaged (not what {FILE} records); delete it and run again")
