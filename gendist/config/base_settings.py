"""Base class and field types of all settings."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

MAX_NUMBER = 2**32 - 1
"""Largest number in a config: larger sizes are typing errors, and NumPy accepts no larger seed."""

WINDOWS_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
"""Reserved device names on Windows, case-insensitive."""


def _reject_windows_device(name: str) -> str:
    if name.lower() in WINDOWS_DEVICES:
        raise ValueError(f"'{name}' is a reserved device name on Windows; choose another")
    return name


Name = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64),
    AfterValidator(_reject_windows_device),
]
"""Name of an entry; it becomes a path component."""

Seed = Annotated[int, Field(ge=0)]
"""Seed of a random number generator."""
Device = Literal["auto", "cpu", "gpu"]
"""Device of jobs that can use a GPU: ``auto`` uses a GPU if there is one, ``gpu`` requires one."""


def expand_home(path: str) -> str:
    """Expand a leading ``~`` in a path.

    Raises:
        ValueError: if the user does not exist.
    """
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        raise ValueError(f"'{path}' is the home folder of an unknown user; write './{path}' for a file") from None


def collapse_slashes(path: str) -> str:
    """Write repeated slashes as one, and none at the end, as Snakemake does."""
    return re.sub("(?<=.)/+$", "", re.sub("/{2,}", "/", path))


def expand_input_path(path: str, placeholder: str = "") -> str:
    """Expand a leading ``~`` in the path of an input file, and collapse its slashes.

    Args:
        path: path from a config.
        placeholder: accepted name in braces.

    Raises:
        ValueError: if the user does not exist, or the path has other braces, which mark wildcards in Snakemake.
    """
    if any(brace in path.replace(placeholder, "") for brace in "{}"):
        raise ValueError(f"'{path}' has braces, which are wildcards in Snakemake; rename the file")
    return collapse_slashes(expand_home(path))


class Settings(BaseModel):
    """Base class of all settings: frozen, typed, no unknown keys, no infinities, no numbers above ``MAX_NUMBER``.

    ``tools.config_reference`` reads the docstrings under the fields. Pydantic's ``use_attribute_docstrings`` is off,
    because it would parse the source of every model in every job.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _check_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        annotation = cls.model_fields[str(info.field_name)].annotation
        parts = get_args(annotation)
        if any(isinstance(part, type) and issubclass(part, BaseModel) for part in (annotation, *parts)):
            return value  # a section, whose keys are checked one by one
        accepts_bool = annotation is bool or any(part is bool or bool in get_args(part) for part in parts)
        for item in _items(value):
            if isinstance(item, bool) and not accepts_bool:
                # Pydantic would convert them to 1 and 0.
                raise ValueError("YAML reads yes, no, on, off, true and false as booleans; put text in quotes")
            if isinstance(item, int | float) and abs(item) > MAX_NUMBER and item not in (float("inf"), float("-inf")):
                raise ValueError(f"numbers up to {MAX_NUMBER} are accepted")
        return value


def _items(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    elif not isinstance(value, dict):
        yield value
