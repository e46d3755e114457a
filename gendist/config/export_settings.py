"""Settings of the export."""

from typing import Annotated

from pydantic import Field

from gendist.config.base_settings import Settings


class Export(Settings):
    """Whether a study ends with an exported model, and how that student is chosen."""

    enabled: bool = True
    """Whether the study exports its best student, with its size and latency in the report; `gendist run --no-export`
    sets it to false for one run. `gendist export` exports in any case."""
    systems: Annotated[list[str], Field(min_length=1)] | None = None
    """Students among which the best on held-out rows is chosen, such as `kim+gendist`; null takes the study's
    gendist systems, or, if it has none, all its students."""
    folds: Annotated[int, Field(ge=2)] = 5
    """Folds of the real training rows: each is held out once, so every student in question is trained this often."""
