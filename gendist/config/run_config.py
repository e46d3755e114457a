"""The merged, validated config, written next to the results."""

from pathlib import Path
from typing import Any

import yaml

from gendist.io.atomic_files import write_text


def write_run_config(study: dict[str, Any], target: Path) -> None:
    """Write a dumped ``Study`` as YAML, every default spelled out."""
    write_text(target, yaml.safe_dump(study, sort_keys=False, allow_unicode=True))
