"""Writes the merged, validated config next to the results."""

from pathlib import Path
from typing import Any

import yaml

from gendist.io.atomic_files import write_text


def write_run_config(study: dict[str, Any], target: Path) -> None:
    """Write a dumped ``Study``, including all defaults, as YAML."""
    write_text(target, yaml.safe_dump(study, sort_keys=False, allow_unicode=True))
