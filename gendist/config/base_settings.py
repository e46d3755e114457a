"""What the settings of all stages have in common."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

MAX_NUMBER = 2**32 - 1
"""No setting is larger: sizes beyond are slips of the keyboard, and NumPy's seeds end here."""

WINDOWS_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
"""Names that Windows takes for devices, whatever their case."""


def _no_device(name: str) -> str:
    if name.lower() in WINDOWS_DEVICES:
        raise ValueError(f"'{name}' is the name of a device on Windows; choose another")
    return name


Name = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64),
    AfterValidator(_no_device),
]
"""A name that becomes one component of a path."""

Seed = Annotated[int, Field(ge=0)]
"""A seed; generators of random numbers take none below 0."""
Device = Literal["auto", "cpu", "gpu"]
"""Where a job that can use a GPU computes: on one if there is one, on the CPU, or on a GPU and nowhere else."""


def expand_home(path: str) -> str:
    """Return a path with its ``~`` replaced by the home folder, as a shell does.

    Raises:
        ValueError: if there is no such user.
    """
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        raise ValueError(f"'{path}' names the home folder of an unknown user; write './{path}' for a file") from None


class Settings(BaseModel):
    """Base of every stage's settings: frozen, typed, and without unknown keys, infinities or absurd numbers.

    The docstrings under the fields are read by ``tools.config_reference`` alone: pydantic would parse the source of
    every model in every job.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _plain_values(cls, value: Any, info: ValidationInfo) -> Any:
        annotation = cls.model_fields[str(info.field_name)].annotation
        takes_truth = annotation is bool or bool in get_args(annotation)
        for item in _items(value):
            if isinstance(item, bool) and not takes_truth:
                # Pydantic would make 1 and 0 of them.
                raise ValueError("YAML reads yes, no, on, off, true and false as truth values; put text in quotes")
            if isinstance(item, int | float) and abs(item) > MAX_NUMBER and item not in (float("inf"), float("-inf")):
                raise ValueError(f"numbers up to {MAX_NUMBER} are accepted")
        return value


def _items(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    elif not isinstance(value, dict):
        yield value
