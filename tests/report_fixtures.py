"""Rows of the tidy table, and tables read back."""

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa

from gendist.artifacts import Provenance, write_parquet
from gendist.evaluation.collect import SCHEMA

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
) -> dict[str, Any]:
    """A row of the tidy table."""
    student, plus, regime = system.partition("+")
    is_student = student in ("kim", "res")
    made = regime in ("gendist", "synthetic", "hard")
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
    if made:
        row |= {"generator": generator, "sampling": sampling}
    return row


def write_metrics(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as the tidy table."""
    write_parquet(path, pa.Table.from_pylist(rows, schema=SCHEMA), Provenance("evaluation"))
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a table back."""
    with Path(path).open(newline="") as stream:
        return list(csv.DictReader(stream))
