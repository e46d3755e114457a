"""Read ``metrics.parquet``, select runs, and summarise them over seeds."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gendist.errors import GendistError
from gendist.io.parquet import column_names, read_parquet
from gendist.naming import WITH_SYNTHETIC, WITH_UNLABELLED, parse_variant, regime_of
from gendist.stages.evaluation.collect_metrics import OPTIONAL_SCHEMA, SCHEMA

MetricsRow = Mapping[str, Any]
"""A row of ``results/metrics.parquet``: one run."""


@dataclass(frozen=True)
class Summary:
    """Mean and standard deviation of the accuracy over seeds, in percent."""

    runs: int
    mean: float
    sd: float | None
    """Sample standard deviation (ddof = 1); None for a single run."""

    @property
    def error(self) -> float | None:
        """Standard error of the mean."""
        return None if self.sd is None else self.sd / self.runs**0.5


def read_runs(metrics: Path) -> list[MetricsRow]:
    """Read ``metrics.parquet``.

    Raises:
        GendistError: if the file is missing, damaged or empty, or lacks a column.
    """
    present = [name for name in OPTIONAL_SCHEMA.names if name in column_names(metrics)]
    runs = read_parquet(metrics, [*SCHEMA.names, *present]).to_pylist()
    if not runs:
        raise GendistError(f"{metrics}: no runs")
    return [dict.fromkeys(OPTIONAL_SCHEMA.names) | run for run in runs]


def hash_scores(runs: Iterable[MetricsRow]) -> str:
    """Return the SHA-256 of the runs without their training times, which vary."""
    rows = [{name: value for name, value in run.items() if name not in {"train_seconds", *_unset(run)}} for run in runs]
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()


def _unset(run: MetricsRow) -> set[str]:
    """Return the optional columns without a value: they do not change the hash."""
    return {name for name in OPTIONAL_SCHEMA.names if run.get(name) is None}


def matches_variant(run: MetricsRow, main: Mapping[str, str]) -> bool:
    """Return whether a run has the given teacher, generator, sampling and training.

    Kinds that a run does not use (a baseline has no teacher) match any name. Kinds missing from ``main`` match any
    value.
    """
    for kind in ("teacher", "generator", "sampling"):
        if kind in main and run[kind] not in (None, main[kind]):
            return False
    training = parse_variant(run["variant"]).training if run["student"] else ""
    return "training" not in main or training in ("", main["training"])


def select_runs(
    runs: Iterable[MetricsRow],
    dataset: str,
    system: str,
    *,
    main: Mapping[str, str],
    count: int | None = None,
    unlabelled: int | None = None,
) -> list[MetricsRow]:
    """Return the runs of one system on one dataset, sorted by seed.

    Args:
        runs: all runs.
        dataset: name of the dataset.
        system: name of the system.
        main: names of teacher, generator, sampling and training (see ``matches_variant``).
        count: synthetic rows, ignored for systems without them; None for any.
        unlabelled: unlabelled rows, ignored for systems without them; None for the largest number.
    """
    regime = regime_of(system)
    counted = count is not None and regime in WITH_SYNTHETIC
    selected = [
        run
        for run in runs
        if run["dataset"] == dataset
        and run["system"] == system
        and matches_variant(run, main)
        and (not counted or run["n_synthetic"] == count)
    ]
    if regime in WITH_UNLABELLED:
        wanted = max((run["n_unlabelled"] or 0 for run in selected), default=0) if unlabelled is None else unlabelled
        selected = [run for run in selected if run["n_unlabelled"] == wanted]
    return sorted(selected, key=lambda run: -1 if run["seed"] is None else run["seed"])


def summarise(runs: Iterable[MetricsRow]) -> Summary | None:
    """Return mean and standard deviation of the accuracy in percent, or None without runs."""
    values = np.array([run["accuracy"] for run in runs]) * 100
    if len(values) == 0:
        return None
    return Summary(len(values), float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else None)


def round_score(value: float | None, digits: int = 4) -> float | None:
    """Round a number for CSV; None stays None."""
    return None if value is None else round(value, digits)
