"""Settings of the export."""

from typing import Annotated

from pydantic import Field

from gendist.config.base_settings import Settings


class Export(Settings):
    """Export of the best student, and how it is chosen."""

    enabled: bool = True
    """Whether the study exports its best student and reports its size and latency; `gendist run --no-export` disables
    it for one run, and `gendist export` ignores it."""
    systems: Annotated[list[str], Field(min_length=1)] | None = None
    """Candidates, such as `kim+gendist`: the best on held-out rows is exported. Null uses the study's gendist systems,
    or all its students if it has none."""
    folds: Annotated[int, Field(ge=2)] = 5
    """Cross-validation folds of the real training rows; every candidate is trained once per fold."""
