"""Formats pydantic's validation errors as one line: key, value and what is accepted."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

from gendist.config.yaml_file import short_repr

MESSAGES = {
    "finite_number": "input should be a finite number",
    "dict_type": "input should be entries by name",
    "bool_parsing": "input should be true or false",
    "bool_type": "input should be true or false",
    "string_type": "input should be text",
    "frozen_set_type": "input should be a list",
}
"""Messages by pydantic error type, where pydantic's own are unclear."""

NAME_RULE = "use letters, digits, '_' and '-', up to 64, a letter or digit first"


def explain_errors(errors: Sequence[Any], content: Mapping[Any, Any], study: type[BaseModel]) -> str:
    """Return one line that describes the first error and counts the others.

    Args:
        errors: from ``pydantic.ValidationError.errors()``.
        content: the config.
        study: the config's model.
    """
    # Grouped by key, because every branch of a union reports an error. A misspelt key comes first: it explains a
    # missing one.
    ranked = sorted(errors, key=lambda e: e["type"] != "extra_forbidden")
    keys: dict[str, list[Any]] = {}
    for error in ranked:
        keys.setdefault(_locate(error, content)[0], []).append(error)
    (first, *_), *others = keys.values()
    key, value = _locate(first, content)
    same_key = keys[key]
    more = f" (and {len(others)} more)" if others else ""
    return _describe(first, same_key=same_key, key=key, value=value, study=study) + more


def _locate(error: Any, content: Any) -> tuple[str, Any]:
    """Return the dotted key of an error as written in the config, and its value."""
    # Pydantic's location also contains union branches and '[key]' marks; skip them.
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


def _describe(error: Any, *, same_key: Sequence[Any], key: str, value: Any, study: type[BaseModel]) -> str:
    location, kind = error["loc"], error["type"]
    message = str(error["msg"]).removeprefix("Value error, ")
    if "[key]" in location or kind == "invalid_key":
        return _describe_name(location, message, kind)
    if kind == "extra_forbidden":
        known = known_keys(study, location)
        close = get_close_matches(str(location[-1]), known, 1)
        hint = f" (did you mean '{close[0]}'?)" if close else ""
        return f"unknown key '{key}'{hint}; accepted here: {', '.join(known)}"
    if kind == "missing":
        return f"key '{key}' is missing"
    if kind in ("model_type", "model_attributes_type"):
        return (
            f"key '{key}' is {short_repr(value)}; input should be keys: {', '.join(known_keys(study, (*location, '')))}"
        )
    if kind == "value_error":
        if key == "top level":
            return message
        # An error of a whole entry already names its keys in the message.
        is_entry = isinstance(value, Mapping) or short_repr(value).strip("'") in message
        return f"key '{key}': {message}" if is_entry else _with_value(key, value, message)
    expected = dict.fromkeys(MESSAGES.get(e["type"], str(e["msg"])) for e in same_key)
    quotes = kind == "string_type" and not isinstance(value, list | Mapping | None)  # a number, a date, true or false
    return _with_value(key, value, "; or ".join(map(_lower_first, expected)) + ("; put it in quotes" if quotes else ""))


def _with_value(key: str, value: Any, message: str) -> str:
    return f"key '{key}' is {short_repr(value)}; {_lower_first(message)}"


def _lower_first(message: str) -> str:
    """Lower the first letter, unless it begins an abbreviation."""
    return message if message[:2].isupper() else message[:1].lower() + message[1:]


def _describe_name(location: Sequence[Any], message: str, kind: str) -> str:
    """Describe an invalid name: of an entry, or a key that YAML did not read as text."""
    parts = [part for part in location if part != "[key]"]
    name, section = parts[-1], parts[0] if len(parts) > 1 else "top level"
    if kind in ("string_type", "invalid_key"):  # pydantic's location has the key as text
        return f"name {short_repr(name)} in '{section}' is not text; put it in quotes"
    reason = message if kind == "value_error" else NAME_RULE
    return f"name {short_repr(name)} in '{section}' is not accepted: {reason}"


def known_keys(study: type[BaseModel], location: Sequence[Any]) -> list[str]:
    """Return the valid keys of the section that contains the last key of ``location``."""
    model: Any = study
    for part in location[:-1]:
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            break
        if part in model.model_fields:
            annotation: Any = model.model_fields[part].annotation
            parts = [part for part in getattr(annotation, "__args__", ()) if part is not type(None)]
            model = parts[-1] if parts else annotation  # dict[Name, Model], Model | None, or Model
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []
