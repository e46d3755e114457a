"""Runs of the tidy table: reading, choosing, and summing up over seeds."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gendist.errors import GendistError
from gendist.io.parquet import column_names, read_parquet
from gendist.naming import WITH_SYNTHETIC, WITH_UNLABELLED, regime_of
from gendist.stages.evaluation.collect import OPTIONAL, SCHEMA

MetricsRow = Mapping[str, Any]
"""A row of ``results/metrics.parquet``."""


@dataclass(frozen=True)
class Summary:
    """Accuracy over seeds, in percent."""

    runs: int
    mean: float
    sd: float | None
    """Sample standard deviation (ddof = 1); None for a single run."""

    @property
    def error(self) -> float | None:
        """Standard error of the mean."""
        return None if self.sd is None else self.sd / self.runs**0.5


def read_runs(metrics: Path) -> list[MetricsRow]:
    """Read the tidy table.

    Raises:
        GendistError: if the file is missing, damaged, empty, or lacks a column.
    """
    present = [name for name in OPTIONAL.names if name in column_names(metrics)]
    runs = read_parquet(metrics, [*SCHEMA.names, *present]).to_pylist()
    if not runs:
        raise GendistError(f"{metrics}: holds no runs")
    return [dict.fromkeys(OPTIONAL.names) | run for run in runs]


def hash_scores(runs: Iterable[MetricsRow]) -> str:
    """Return the SHA-256 of all that runs say, but for the seconds that they took, which differ every time."""
    rows = [{name: value for name, value in run.items() if name not in {"train_seconds", *_unset(run)}} for run in runs]
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()


def _unset(run: MetricsRow) -> set[str]:
    """Return the optional columns that hold nothing: a table without them is the same."""
    return {name for name in OPTIONAL.names if run.get(name) is None}


def matches_variant(run: MetricsRow, main: Mapping[str, str]) -> bool:
    """Say whether a run is of the named teacher, generator, sampling and training.

    A run that has none of a kind (a baseline, say) fits any name of it; a kind that
    ``main`` does not name may have any value.
    """
    for kind in ("teacher", "generator", "sampling"):
        if kind in main and run[kind] not in (None, main[kind]):
            return False
    # The name of the training stands last in the variant, which only students have.
    training = (run["variant"] or "").rpartition(".")[2] if run["student"] else ""
    return "training" not in main or training in ("", main["training"])


def select_runs(
    runs: Iterable[MetricsRow],
    dataset: str,
    system: str,
    main: Mapping[str, str],
    count: int | None = None,
    unlabelled: int | None = None,
) -> list[MetricsRow]:
    """Return the runs of one system on one dataset, by seed.

    Args:
        runs: all runs.
        dataset: name of the dataset.
        system: name of the system.
        main: the variant (see ``matches_variant``).
        count: synthetic rows; asked for only where the system takes any. None allows all counts.
        unlabelled: unlabelled rows, where the system takes any. None takes the most that there are runs with.
    """
    regime = regime_of(system)
    counted = count is not None and regime in WITH_SYNTHETIC
    chosen = [
        run
        for run in runs
        if run["dataset"] == dataset
        and run["system"] == system
        and matches_variant(run, main)
        and (not counted or run["n_synthetic"] == count)
    ]
    if regime in WITH_UNLABELLED:
        wanted = max((run["n_unlabelled"] or 0 for run in chosen), default=0) if unlabelled is None else unlabelled
        chosen = [run for run in chosen if run["n_unlabelled"] == wanted]
    return sorted(chosen, key=lambda run: -1 if run["seed"] is None else run["seed"])


def summarise(runs: Iterable[MetricsRow]) -> Summary | None:
    """Return mean and deviation of the accuracies in percent, or None without runs."""
    values = np.array([run["accuracy"] for run in runs]) * 100
    if len(values) == 0:
        return None
    return Summary(len(values), float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else None)


def rounded(value: float | None, digits: int = 4) -> float | None:
    """Round a number for CSV; None stays None."""
    return None if value is None else round(value, digits)
