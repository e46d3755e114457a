"""Settings of the tracking."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from gendist.config.base_settings import Settings


class Tracking(Settings):
    """Nothing is tracked unless `mlflow` says where to. A server that does not answer costs a line, not the study."""

    mlflow: str | None = None
    """MLflow (extra `tracking`): address of a server, say `http://localhost:5000`, or a folder; null for nowhere."""
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
