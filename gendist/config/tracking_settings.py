"""Settings of experiment tracking."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from gendist.config.base_settings import Settings


class Tracking(Settings):
    """Experiment tracking; off by default. If the server is unreachable, a warning is logged and the study
    continues.
    """

    mlflow: str | None = None
    """MLflow tracking URI (extra `tracking`), such as `http://localhost:5000`, or a folder; null disables tracking."""
    experiment: Annotated[str, Field(min_length=1)] = "gendist"
    """Name of the MLflow experiment."""

    @field_validator("mlflow")
    @classmethod
    def _no_secret(cls, value: str | None) -> str | None:
        # The config is written next to the results and appears in the report.
        if value is not None and urlsplit(value).password:
            raise ValueError("contains a password; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead")
        return value
