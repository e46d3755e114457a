"""Which of a study's students a model card is about."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gendist.analysis.metrics_table import MetricsRow as Row
from gendist.config.plan import Run, detailed_runs
from gendist.config.study import Study
from gendist.errors import GendistError
from gendist.io.files import read_json
from gendist.naming import system_name

EXPORT_FOLDER = "export/model"
"""Folder of the exported model, under the dataset's results."""
DESCRIPTION = "gendist-model.json"


@dataclass(frozen=True)
class CardSubject:
    """A run, and the rows of the tidy table of the same system with every seed."""

    run: Run
    seeds: list[Row]
    export: Mapping[str, Any] | None
    """``gendist-model.json`` of the exported model; None before an export."""

    @property
    def system(self) -> str:
        """The row of Table 1."""
        return system_name(self.run.student, self.run.regime)

    @property
    def folder(self) -> Path:
        """The run's folder, under the dataset's results."""
        run = self.run
        return Path("students", run.student, run.regime, run.variant, f"n{run.n_synthetic}", f"seed{run.seed}")


def find_subject(study: Study, dataset: str, rows: list[Row]) -> CardSubject:
    """Return the exported run, else the first seed of the best generation-distillation system.

    Args:
        study: the study.
        dataset: name of the dataset.
        rows: all rows of the tidy table.

    Raises:
        GendistError: if the export's description is damaged, or the study has no such run.
    """
    description = Path(study.results) / dataset / EXPORT_FOLDER / DESCRIPTION
    if description.is_file():
        export = read_json(description)
        chosen = export.get("chosen")
        if not isinstance(chosen, dict) or not set(Run._fields) <= set(chosen):
            raise GendistError(f"{description}: damaged (no 'chosen' run); run gendist export again")
        run = Run(**{name: chosen[name] for name in Run._fields})
        return CardSubject(run, _same_system(run, rows), export)
    candidates = [
        CardSubject(run, _same_system(run, rows), None) for run in detailed_runs(study) if run.dataset == dataset
    ]
    found = [subject for subject in candidates if subject.seeds]
    if not found:
        raise GendistError(
            f"{study.results}/metrics.parquet: no generation-distillation run of {dataset}; run the study"
        )
    return max(found, key=lambda s: sum(row["accuracy"] for row in s.seeds) / len(s.seeds))


def _same_system(run: Run, rows: list[Row]) -> list[Row]:
    """Return the rows of the same run but for its seed."""
    same = [name for name in Run._fields if name not in ("seed", "n_synthetic")]
    counted = "n_unlabelled" if run.regime == "unlabelled" else "n_synthetic"
    return [
        row for row in rows if row[counted] == run.n_synthetic and all(row[name] == getattr(run, name) for name in same)
    ]
