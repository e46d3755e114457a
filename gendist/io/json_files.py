"""JSON and JSONL files, read with strict checks; the standard library alone."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gendist.errors import GendistError
from gendist.io.atomic_files import write_text
from gendist.io.regular_files import require_regular_file
from gendist.io.text_encodings import TextFile


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a JSON object atomically, with sorted keys.

    Raises:
        ValueError: if a number is NaN or infinite.
    """
    text = json.dumps(record, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        GendistError: if the file is missing, is not a JSON object, or contains NaN or infinity.
    """
    require_regular_file(path)
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_reject_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise GendistError(f"{path}: damaged ({str(error).splitlines()[0]}); delete it and rerun") from None
    if not isinstance(record, dict):
        raise GendistError(f"{path}: damaged (not a JSON object); delete it and rerun")
    return record


def read_json_lines(
    file: TextFile, encoding: str, expected: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the line number and the object of each line of a JSONL file; blank lines are skipped.

    Args:
        file: the file.
        encoding: its encoding.
        expected: keys to name in the error message.

    Raises:
        GendistError: if a line is not a JSON object, or repeats a key.
    """
    for number, line in enumerate(file.lines(encoding), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line, object_pairs_hook=_unique_keys)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", str(error))
            hint = "; expected one JSON object per line" if line.strip() in ("{", "[") else ""
            raise GendistError(f"{file.name}, line {number}: not valid JSON ({reason}){hint}") from None
        if not isinstance(record, dict):
            keys = f" with {', '.join(expected)}" if expected else ""
            raise GendistError(f"{file.name}, line {number}: expected a JSON object{keys} on each line")
        yield number, record


def _reject_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not a number")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object; repeated keys are an error, because JSON does not define which value counts."""
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key '{next(key for key in keys if keys.count(key) > 1)}' is repeated")
    return record
