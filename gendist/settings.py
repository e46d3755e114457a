"""What the settings of all stages have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64),
]
"""A name that becomes one component of a path."""


class Settings(BaseModel):
    """Base of every stage's settings: frozen, typed, and without unknown keys.

    The docstrings under the fields are read by ``gendist.config.reference`` alone: pydantic would parse the source of
    every model in every job.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
