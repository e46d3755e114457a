"""Settings of the tracking."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from gendist.settings import Settings


class Tracking(Settings):
    """Where finished runs are entered; nowhere unless a key says so."""

    mlflow: str | None = None
    """MLflow (extra `tracking`): the address of a server, `http://localhost:5000` say, or a folder; null tracks nothing."""
    experiment: Annotated[str, Field(min_length=1)] = "gendist"
    """Name of the experiment in MLflow."""

    @field_validator("mlflow")
    @classmethod
    def _no_secret(cls, value: str | None) -> str | None:
        # The config is written next to the results and shown in the report.
        if value is not None and urlsplit(value).password:
            raise ValueError(
                "holds a password; put it into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead"
            )
        return value
