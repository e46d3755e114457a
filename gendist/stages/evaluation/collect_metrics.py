"""Collect the metrics of all runs into one tidy table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from gendist.errors import GendistError
from gendist.io.json_files import read_json
from gendist.io.parquet import write_parquet
from gendist.io.provenance import Provenance, hash_file
from gendist.stages.evaluation.run_folder import METRICS, TIMING

SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("system", pa.string()),
        ("student", pa.string()),
        ("regime", pa.string()),
        ("generator", pa.string()),
        ("sampling", pa.string()),
        ("teacher", pa.string()),
        ("n_real", pa.int64()),
        ("n_synthetic", pa.int64()),
        ("seed", pa.int64()),
        ("n_parameters", pa.int64()),
        ("accuracy", pa.float64()),
        ("macro_f1", pa.float64()),
        ("nll", pa.float64()),
        ("ece", pa.float64()),
        ("train_seconds", pa.float64()),
        ("variant", pa.string()),
    ]
)
"""Columns of ``results/metrics.parquet``, in this order; scores are fractions, nll is in nats."""
OPTIONAL_SCHEMA = pa.schema([("n_unlabelled", pa.int64())])
"""Additional columns, present if any run has a value."""

REQUIRED_COLUMNS = ("dataset", "system", "accuracy", "macro_f1", "train_seconds")
KEY_COLUMNS = ("dataset", "system", "variant", "teacher", "generator", "sampling", "n_synthetic", "seed")
"""Columns that identify a run and sort the table."""


def collect_metrics(folders: Sequence[Path], target: Path) -> None:
    """Collect run folders into one tidy table, sorted by ``KEY_COLUMNS``.

    Args:
        folders: run folders of students, baselines and teachers.
        target: the Parquet file to write, with the columns of ``SCHEMA``, and non-empty ones of
            ``OPTIONAL_SCHEMA``.

    Raises:
        GendistError: if a file is missing or damaged, or two folders contain the same run.
    """
    rows: dict[str, dict[str, Any]] = {}
    hashes: dict[str, str] = {}
    for folder in map(Path, folders):
        row = _read_row(folder)
        # Key by run, not by path: provenance must not depend on the location of the project.
        filled = [column for column in OPTIONAL_SCHEMA.names if row[column] is not None]
        name = "/".join(str(row[column]) for column in (*KEY_COLUMNS, *filled))
        if name in rows:
            raise GendistError(f"{folder / METRICS}: duplicate run ({name}): another folder contains it too")
        rows[name] = row
        hashes[name] = hash_file(folder / METRICS)
    if not rows:
        raise GendistError(f"{target}: no run folders to collect")
    ordered = sorted(
        rows.values(), key=lambda row: [_sort_key(row[column]) for column in (*KEY_COLUMNS, *OPTIONAL_SCHEMA.names)]
    )
    optional = [field for field in OPTIONAL_SCHEMA if any(row[field.name] is not None for row in ordered)]
    table = pa.Table.from_pylist(ordered, schema=pa.schema([*SCHEMA, *optional]))
    write_parquet(target, table, Provenance("evaluation", inputs=hashes))


def _read_row(folder: Path) -> dict[str, Any]:
    path = folder / METRICS
    row = dict.fromkeys(OPTIONAL_SCHEMA.names) | read_json(path)
    row["train_seconds"] = read_json(folder / TIMING).get("train_seconds")
    missing, unknown = set(SCHEMA.names) - set(row), set(row) - {*SCHEMA.names, *OPTIONAL_SCHEMA.names}
    if missing or unknown:
        wrong = f"lacks {', '.join(sorted(missing))}" if missing else f"has unknown {', '.join(sorted(unknown))}"
        raise GendistError(f"{path}: {wrong}; delete the folder and rerun")
    for name in REQUIRED_COLUMNS:
        if row[name] is None:
            raise GendistError(f"{folder / TIMING if name == 'train_seconds' else path}: '{name}' is empty")
    try:
        pa.Table.from_pylist([row], schema=pa.schema([*SCHEMA, *OPTIONAL_SCHEMA]))
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise GendistError(f"{path}: a value has the wrong type ({str(error).splitlines()[0]})") from None
    return row


def _sort_key(value: str | int | None) -> tuple[bool, str | int]:
    return (value is not None, "" if value is None else value)
