"""Pydantic's findings in one line that a person understands: key, value, and what is accepted."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

from gendist.config.yaml_file import short_repr

WORDS = {
    "finite_number": "input should be a finite number",
    "dict_type": "input should be entries by name",
    "bool_parsing": "input should be true or false",
    "bool_type": "input should be true or false",
    "string_type": "input should be a valid string; put it in quotes",
    "frozen_set_type": "input should be a list",
}
"""What is clearer than pydantic's own words."""

NAMES = "use letters, digits, '_' and '-', up to 64, a letter or digit first"


def explain_errors(errors: Sequence[Any], content: Mapping[Any, Any], study: type[BaseModel]) -> str:
    """Explain the first mistake, and say how many more there are.

    Args:
        errors: what pydantic found.
        content: the config.
        study: its model.
    """
    # By key: of a union, every branch complains. A misspelt key first: it explains a missing one.
    ranked = sorted(errors, key=lambda e: e["type"] != "extra_forbidden")
    keys: dict[str, list[Any]] = {}
    for error in ranked:
        keys.setdefault(_place(error, content)[0], []).append(error)
    (first, *_), *others = keys.values()
    key, value = _place(first, content)
    same = keys[key]
    more = f" (and {len(others)} more)" if others else ""
    return _told(first, same, key, value, study) + more


def _place(error: Any, content: Any) -> tuple[str, Any]:
    """Return the key as the user would call it, and its value."""
    # Union branches and pydantic's '[key]' marks are no part of what the user wrote.
    keys: list[str] = []
    value = content
    for part in error["loc"]:
        if isinstance(value, Mapping) and part in value:
            value = value[part]
            keys.append(str(part))
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
            keys[-1:] = [f"{keys[-1]}[{part}]"] if keys else [f"[{part}]"]
        elif error["type"] == "missing":
            keys.append(str(part))
    return ".".join(keys) or "top level", value


def _told(error: Any, same: Sequence[Any], key: str, value: Any, study: type[BaseModel]) -> str:
    place, kind = error["loc"], error["type"]
    message = str(error["msg"]).removeprefix("Value error, ")
    if "[key]" in place or kind == "invalid_key":
        return _told_name(place, message, kind)
    if kind == "extra_forbidden":
        known = known_keys(study, place)
        close = get_close_matches(str(place[-1]), known, 1)
        hint = f" (did you mean '{close[0]}'?)" if close else ""
        return f"unknown key '{key}'{hint}; accepted here: {', '.join(known)}"
    if kind == "missing":
        return f"key '{key}' is missing"
    if kind in ("model_type", "model_attributes_type"):
        return f"key '{key}' is {short_repr(value)}; input should be keys: {', '.join(known_keys(study, (*place, '')))}"
    if kind == "value_error":
        if key == "top level":
            return message
        # Of an entry, several keys of which do not fit together, the message names them.
        whole = isinstance(value, Mapping) or short_repr(value).strip("'") in message
        return f"key '{key}': {message}" if whole else _valued(key, value, message)
    wanted = dict.fromkeys(WORDS.get(e["type"], str(e["msg"])) for e in same)
    return _valued(key, value, "; or ".join(map(_lowered, wanted)))


def _valued(key: str, value: Any, message: str) -> str:
    return f"key '{key}' is {short_repr(value)}; {_lowered(message)}"


def _lowered(message: str) -> str:
    """Begin a message in lower case, unless with an abbreviation."""
    return message if message[:2].isupper() else message[:1].lower() + message[1:]


def _told_name(place: Sequence[Any], message: str, kind: str) -> str:
    """Explain a name that cannot be one: of an entry, or of a key that YAML did not read as text."""
    parts = [part for part in place if part != "[key]"]
    name, section = parts[-1], parts[0] if len(parts) > 1 else "top level"
    if kind in ("string_type", "invalid_key"):  # pydantic's place has the key as text
        return f"name {short_repr(name)} in '{section}' is not text; put it in quotes"
    why = message if kind == "value_error" else NAMES
    return f"name {short_repr(name)} in '{section}' is not accepted: {why}"


def known_keys(study: type[BaseModel], place: Sequence[Any]) -> list[str]:
    """Return the keys that are known beside the last one of ``place``."""
    model: Any = study
    for part in place[:-1]:
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            break
        if part in model.model_fields:
            annotation: Any = model.model_fields[part].annotation
            entries = getattr(annotation, "__args__", ())
            model = entries[-1] if entries else annotation  # dict[Name, Model], or Model
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []
