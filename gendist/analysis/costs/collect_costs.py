"""Collect the measured costs in one table, with the training time of each system."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from gendist.analysis.metrics_table import read_runs, select_runs
from gendist.analysis.report.costs_table import SCHEMA
from gendist.errors import GendistError
from gendist.io.json_files import read_json
from gendist.io.parquet import write_parquet
from gendist.io.provenance import Provenance
from gendist.naming import TEACHER, System

EXPORT_KIND = "export"
"""Kind of the measurements of exported models; their name is the exported system."""


def collect_costs(
    files: Sequence[Path],
    *,
    metrics: Path,
    systems: Sequence[System],
    counts: Mapping[str, int],
    main: Mapping[str, str],
    target: Path,
) -> None:
    """Join measurements with systems, in the order of Table 1.

    Each student network is measured once: the regimes differ only in the values of the weights. A system measured
    under several runtimes has one row per runtime.

    Args:
        files: JSON files of ``measure_costs``.
        metrics: ``metrics.parquet``, for the training times.
        systems: systems of Table 1.
        counts: synthetic rows by dataset, in order.
        main: names of teacher, generator, sampling and training in Table 1.
        target: the Parquet file to write.

    Raises:
        GendistError: if a file is missing or damaged, or no system was measured.
    """
    runs = read_runs(metrics)
    measurements = [read_json(file) for file in files]
    rows = []
    for dataset, count in counts.items():
        for system in systems:
            selected = select_runs(runs, dataset, system.name, main=main, count=count)
            seconds = float(np.mean([run["train_seconds"] for run in selected])) if selected else None
            for record in measurements:
                key = (record.get("kind"), record.get("name"))
                if record.get("dataset") == dataset and key in (
                    _measurement_key(system, main),
                    (EXPORT_KIND, system.name),
                ):
                    rows.append(record | {"system": system.name, "train_seconds": seconds})
    if not rows:
        raise GendistError(f"{target}: no measurement of {', '.join(system.name for system in systems)}")
    try:
        table = pa.Table.from_pylist([{name: row[name] for name in SCHEMA.names} for row in rows], schema=SCHEMA)
    except (KeyError, pa.ArrowException, TypeError) as error:
        raise GendistError(f"cost measurements are damaged ({error}); delete the folders 'costs' and rerun") from None
    write_parquet(target, table, Provenance("costs", settings={"systems": [system.name for system in systems]}))


def _measurement_key(system: System, main: Mapping[str, str]) -> tuple[str, str]:
    """Return kind and name of the measurement of a system."""
    if system.student is not None:
        return "students", system.student
    return ("teachers", main["teacher"]) if system.name == TEACHER else ("baselines", system.name)
