"""Rows of the tidy table, and tables read back."""

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa

from gendist.artifacts import Provenance, write_parquet
from gendist.evaluation.collect import OPTIONAL, SCHEMA
from gendist.systems import WITH_SYNTHETIC, regime_of

MAIN = {"teacher": "minilm", "generator": "pocket", "sampling": "full", "training": "default"}


def run(
    dataset: str,
    system: str,
    accuracy: float,
    seed: int | None = 0,
    count: int = 0,
    sampling: str = "full",
    training: str = "default",
    parameters: int = 1000,
    teacher: str = "minilm",
    generator: str = "pocket",
    unlabelled: int | None = None,
) -> dict[str, Any]:
    """A row of the tidy table."""
    student, plus, _ = system.partition("+")
    regime = regime_of(system)
    is_student = student in ("kim", "res")
    made = regime in WITH_SYNTHETIC
    row = dict.fromkeys(SCHEMA.names) | {
        "dataset": dataset,
        "system": system,
        "accuracy": accuracy,
        "macro_f1": accuracy,
        "train_seconds": 1.0,
        "seed": seed,
        "n_real": 400,
        "n_synthetic": count,
        "n_parameters": parameters,
    }
    if is_student:
        row |= {
            "student": student,
            "regime": regime or "scratch",
            "variant": f"{teacher}.{generator}.{sampling}.{training}",
        }
    if plus or system == "teacher":
        row["teacher"] = teacher
    if unlabelled is not None:
        row["n_unlabelled"] = unlabelled
    if made:
        row |= {"generator": generator, "sampling": sampling}
    return row


def write_metrics(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as the tidy table."""
    further = list(OPTIONAL) if any("n_unlabelled" in row for row in rows) else []
    write_parquet(path, pa.Table.from_pylist(rows, schema=pa.schema([*SCHEMA, *further])), Provenance("evaluation"))
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a table back."""
    with Path(path).open(newline="") as stream:
        return list(csv.DictReader(stream))
