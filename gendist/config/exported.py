"""What an export has found out of a study's students, where there was one."""

import json
from collections.abc import Iterable
from pathlib import Path


def exported_temperatures(results: Path, datasets: Iterable[str]) -> dict[str, dict[str, float]]:
    """Return the calibration temperature of every ranked system, by dataset; empty without an export."""
    return {dataset: _temperatures(results / dataset / "export" / "choice.json") for dataset in datasets}


def _temperatures(choice: Path) -> dict[str, float]:
    try:
        ranking = json.loads(choice.read_text(encoding="utf-8"))["ranking"]
        return {row["system"]: float(row["temperature"]) for row in ranking if row["temperature"] > 0}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # whoever exports is told what is wrong with the file
