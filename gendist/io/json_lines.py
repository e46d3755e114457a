"""The one reader of JSONL files: an object per line. The standard library alone."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from gendist.errors import GendistError
from gendist.io.encodings import TextFile


def json_records(file: TextFile, encoding: str, expected: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each object and its line; a blank line is no row.

    Args:
        file: the file.
        encoding: of it.
        expected: keys that the objects should have, for the message.

    Raises:
        GendistError: a line that is no JSON object, or has a key twice.
    """
    # Only \n ends a line: other Unicode line breaks may stand inside a JSON string.
    for number, line in enumerate(file.lines(encoding), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line, object_pairs_hook=_keys_once)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", str(error))
            raise GendistError(f"{file.name}, line {number}: not valid JSON ({reason})") from None
        if not isinstance(record, dict):
            keys = f" with {', '.join(expected)}" if expected else ""
            raise GendistError(f"{file.name}, line {number}: expected a JSON object{keys}")
        yield number, record


def _keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its pairs; JSON leaves open which of two equal keys counts."""
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key '{next(key for key in keys if keys.count(key) > 1)}' stands twice")
    return record
