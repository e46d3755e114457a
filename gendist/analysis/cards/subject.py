"""Which of a study's students a model card is about."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gendist.analysis.metrics_table import Run as Row
from gendist.config.study import Study
from gendist.config.study_plan import detailed_runs
from gendist.errors import GendistError
from gendist.io.json_files import read_json
from gendist.naming import RunKey

EXPORTED = "export/model"
"""Folder of the exported model, under the dataset's results."""
DESCRIPTION = "gendist-model.json"


@dataclass(frozen=True)
class Subject:
    """A run, and the rows of the tidy table of the same system with every seed."""

    run: RunKey
    seeds: list[Row]
    export: Mapping[str, Any] | None
    """``gendist-model.json`` of the exported model; None before an export."""

    @property
    def system(self) -> str:
        """The row of Table 1."""
        return self.run.system


def find_subject(study: Study, dataset: str, rows: list[Row]) -> Subject:
    """Return the exported run, else the first seed of the best generation-distillation system.

    Args:
        study: the study.
        dataset: name of the dataset.
        rows: all rows of the tidy table.

    Raises:
        GendistError: if the export's description is damaged, or the study has no such run.
    """
    description = Path(study.results) / dataset / EXPORTED / DESCRIPTION
    if description.is_file():
        export = read_json(description)
        chosen = export.get("chosen")
        if not isinstance(chosen, dict) or not set(RunKey._fields) <= set(chosen):
            raise GendistError(f"{description}: damaged (no 'chosen' run); run gendist export again")
        run = RunKey(**{name: chosen[name] for name in RunKey._fields})
        return Subject(run, _seeds(run, rows), export)
    candidates = [Subject(run, _seeds(run, rows), None) for run in detailed_runs(study) if run.dataset == dataset]
    found = [subject for subject in candidates if subject.seeds]
    if not found:
        raise GendistError(
            f"{study.results}/metrics.parquet: no generation-distillation run of {dataset}; run the study"
        )
    return max(found, key=lambda s: sum(row["accuracy"] for row in s.seeds) / len(s.seeds))


def _seeds(run: RunKey, rows: list[Row]) -> list[Row]:
    """Return the rows of the same run but for its seed."""
    same = [name for name in RunKey._fields if name not in ("seed", "n_synthetic")]
    counted = "n_unlabelled" if run.regime == "unlabelled" else "n_synthetic"
    return [
        row for row in rows if row[counted] == run.n_synthetic and all(row[name] == getattr(run, name) for name in same)
    ]
