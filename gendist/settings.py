"""What the settings of all stages have in common."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64),
]
"""A name that becomes one component of a path."""

Device = Literal["auto", "cpu", "gpu"]
"""Where a job that can use a GPU computes: on one if there is one, on the CPU, or on a GPU and nowhere else."""


class Settings(BaseModel):
    """Base of every stage's settings: frozen, typed, and without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
