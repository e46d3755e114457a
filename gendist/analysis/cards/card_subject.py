"""Select the student run of a model card."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gendist.analysis.metrics_table import MetricsRow as Row
from gendist.config.study import Study
from gendist.config.study_plan import detailed_runs
from gendist.errors import GendistError
from gendist.io.json_files import read_json
from gendist.naming import EXPORTED_MODEL, RunKey
from gendist.predict.exported_model import DESCRIPTION


@dataclass(frozen=True)
class CardSubject:
    """A run, and the metrics of the same system with every seed."""

    run: RunKey
    seeds: list[Row]
    export: Mapping[str, Any] | None
    """``gendist-model.json`` of the exported model; None before an export."""

    @property
    def system(self) -> str:
        """Name of the system in Table 1."""
        return self.run.system


def find_subject(study: Study, dataset: str, rows: list[Row]) -> CardSubject:
    """Return the exported run, else the first seed of the best generation-distillation system.

    Args:
        study: the study.
        dataset: name of the dataset.
        rows: all rows of ``metrics.parquet``.

    Raises:
        GendistError: if the description of the export is damaged, or there is no run.
    """
    description = Path(study.results) / dataset / EXPORTED_MODEL / DESCRIPTION
    if description.is_file():
        export = read_json(description)
        chosen = export.get("chosen")
        if not isinstance(chosen, dict) or not set(RunKey._fields) <= set(chosen):
            raise GendistError(f"{description}: damaged (no 'chosen' run); rerun gendist export")
        run = RunKey(**{name: chosen[name] for name in RunKey._fields})
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


def _same_system(run: RunKey, rows: list[Row]) -> list[Row]:
    """Return the metrics of the same run with every seed."""
    same = [name for name in RunKey._fields if name not in ("seed", "n_synthetic")]
    counted = "n_unlabelled" if run.regime == "unlabelled" else "n_synthetic"
    return [
        row for row in rows if row[counted] == run.n_synthetic and all(row[name] == getattr(run, name) for name in same)
    ]
