"""All measured costs in one table: a row per system, with its training time."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from gendist.analysis.metrics_table import read_runs, select_runs
from gendist.analysis.report.costs_table import SCHEMA
from gendist.errors import GendistError
from gendist.io.files import read_json
from gendist.io.parquet import write_parquet
from gendist.io.provenance import Provenance
from gendist.naming import TEACHER, System

EXPORT_KIND = "export"
"""Kind of the measurement of an exported model; its name is that of the exported system."""


def collect_costs(
    files: Sequence[Path],
    metrics: Path,
    systems: Sequence[System],
    counts: Mapping[str, int],
    main: Mapping[str, str],
    target: Path,
) -> None:
    """Join measurements with the systems that they stand for, in the order of Table 1.

    A network is measured once: a student from scratch, distilled and generation-distilled differ in the values
    of their weights alone. Of a system that was measured under several runtimes, each has a row.

    Args:
        files: measurements; each names its dataset, kind (a folder of results) and name.
        metrics: the tidy table, for the training times.
        systems: rows of Table 1.
        counts: datasets in order, each with the synthetic rows of the systems that take them.
        main: names of the teacher, generator, sampling and training that Table 1 shows.
        target: the Parquet file to write.

    Raises:
        GendistError: if a file is missing or damaged, or there is nothing to collect.
    """
    runs = read_runs(metrics)
    measured = [read_json(file) for file in files]
    rows = []
    for dataset, count in counts.items():
        for system in systems:
            chosen = select_runs(runs, dataset, system.name, main, count)
            seconds = float(np.mean([run["train_seconds"] for run in chosen])) if chosen else None
            for record in measured:
                found = (record.get("kind"), record.get("name"))
                if record.get("dataset") == dataset and found in (
                    _measurement_key(system, main),
                    (EXPORT_KIND, system.name),
                ):
                    rows.append(record | {"system": system.name, "train_seconds": seconds})
    if not rows:
        raise GendistError(f"{target}: no measurement of {', '.join(system.name for system in systems)}")
    try:
        table = pa.Table.from_pylist([{name: row[name] for name in SCHEMA.names} for row in rows], schema=SCHEMA)
    except (KeyError, pa.ArrowException, TypeError) as error:
        raise GendistError(
            f"measurements of costs are damaged ({error}); delete the folders 'costs' and run again"
        ) from None
    write_parquet(target, table, Provenance("costs", settings={"systems": [system.name for system in systems]}))


def _measurement_key(system: System, main: Mapping[str, str]) -> tuple[str, str]:
    """Return kind and name of what was measured for a system."""
    if system.student is not None:
        return "students", system.student
    return ("teachers", main["teacher"]) if system.name == TEACHER else ("baselines", system.name)
