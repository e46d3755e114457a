"""Loads and validates a study's YAML config; errors name the key."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gendist.config.study import Study
from gendist.config.validation_errors import explain_errors
from gendist.config.yaml_file import read_config
from gendist.errors import GendistError


def load_study(path: Path) -> Study:
    """Load and validate a study config.

    Raises:
        GendistError: if it is invalid; names the file, the key, the value and what is accepted.
    """
    return study_from(read_config(path), str(path))


def study_from(content: Mapping[str, Any], name: str = "config") -> Study:
    """Validate a config given as a mapping; ``name`` is its name in error messages.

    Raises:
        GendistError: if it is invalid; describes the first error and counts the others.
    """
    try:
        return Study.model_validate(dict(content))
    except ValidationError as error:
        raise GendistError(f"{name}: {explain_errors(error.errors(), content, Study)}") from None
    except RecursionError:
        raise GendistError(f"{name}: not a config (nested too deeply)") from None
