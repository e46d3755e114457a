"""The merged, validated config, written next to the results."""

from pathlib import Path
from typing import Any

import yaml


def write_run_config(study: dict[str, Any], target: str) -> None:
    """Write a dumped ``Study`` as YAML, every default spelled out."""
    path = Path(target)
    part = path.with_name(f".{path.name}.part")
    part.write_text(yaml.safe_dump(study, sort_keys=False, allow_unicode=True), encoding="utf-8")
    part.replace(path)
