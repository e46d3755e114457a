"""Read a YAML config into a validated study, with errors that name the key."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from gendist.config.study import Study
from gendist.errors import GendistError


def load_study(path: Path) -> Study:
    """Read and validate a study config.

    Raises:
        GendistError: one line naming the file, the key, the value and what is accepted.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GendistError(f"{path}: no such config file") from None
    except UnicodeDecodeError as error:
        raise GendistError(f"{path}: not UTF-8 at byte {error.start}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "unreadable"
        raise GendistError(f"{path}{where}: not valid YAML ({problem})") from None
    if not isinstance(content, dict):
        raise GendistError(f"{path}: expected a mapping with at least 'datasets', got {_shown(content)}")
    return study_from(content, str(path))


def study_from(content: Mapping[str, Any], name: str = "config") -> Study:
    """Validate a config that is already a mapping; ``name`` stands in error messages.

    Raises:
        GendistError: one line for the first mistake, and how many more there are.
    """
    try:
        return Study.model_validate(dict(content))
    except ValidationError as error:
        # A misspelt key first: it explains a missing one.
        first, *others = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        more = f" (and {len(others)} more)" if others else ""
        raise GendistError(f"{name}: {_explain(first, content)}{more}") from None


def _explain(error: Any, content: Mapping[str, Any]) -> str:
    # Union branches and pydantic's '[key]' marks are no part of what the user wrote.
    place = error["loc"]
    keys, value = [], content
    for part in place:
        if isinstance(value, Mapping) and part in value:
            value = value[part]
            keys.append(str(part))
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
            keys[-1:] = [f"{keys[-1]}[{part}]"] if keys else [f"[{part}]"]
        elif error["type"] == "missing":
            keys.append(str(part))
    key = ".".join(keys) or "top level"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return f"unknown key '{key}'; accepted here: {', '.join(_accepted(place))}"
    if error["type"] == "missing":
        return f"key '{key}' is missing"
    if error["type"] == "value_error":
        return message if key == "top level" else f"key '{key}': {message}"
    if error["type"] == "string_pattern_mismatch" and "[key]" in place:
        return f"name {place[-2]!r} in '{place[0]}' is not accepted: use letters, digits, '_' and '-', up to 64"
    return f"key '{key}' is {_shown(value)}; {message[0].lower()}{message[1:]}"


def _accepted(place: tuple[Any, ...]) -> list[str]:
    """Return the keys that are known beside an unknown one."""
    fields = Study.model_fields
    if len(place) == 1:
        return list(fields)
    annotation: Any = fields[str(place[0])].annotation
    model = annotation.__args__[-1] if hasattr(annotation, "__args__") else annotation  # dict[Name, Model], or Model
    return list(model.model_fields)


def _shown(value: Any, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
