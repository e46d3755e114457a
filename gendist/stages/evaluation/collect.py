"""One tidy table of all runs, and the teacher's run from its logits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gendist.errors import GendistError
from gendist.io.json_files import read_json
from gendist.io.parquet import write_parquet
from gendist.io.provenance import Provenance, hash_file
from gendist.stages.evaluation.runs import METRICS, TIMING, RunMetadata, write_run
from gendist.stages.logits.files import read_logits
from gendist.stages.texts.tables import read_texts

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
OPTIONAL = pa.schema([("n_unlabelled", pa.int64())])
"""Columns after those, where some run of the study has a value."""

REQUIRED = ("dataset", "system", "accuracy", "macro_f1", "train_seconds")
ORDER = ("dataset", "system", "variant", "teacher", "generator", "sampling", "n_synthetic", "seed")
"""What tells two runs apart, and the order of the rows."""


def collect_metrics(folders: Sequence[Path], target: Path) -> None:
    """Gather run folders into one tidy table.

    The order of ``folders`` does not matter.

    Args:
        folders: run folders of students, baselines and teachers.
        target: the Parquet file to write, with the columns of ``SCHEMA``, and those of ``OPTIONAL`` that hold anything.

    Raises:
        GendistError: if a file is missing or damaged, or two folders hold the same run.
    """
    rows: dict[str, dict[str, Any]] = {}
    hashes: dict[str, str] = {}
    for folder in map(Path, folders):
        row = _read_row(folder)
        # Named by content, not by path: the record must not say where the project lies.
        filled = [column for column in OPTIONAL.names if row[column] is not None]
        name = "/".join(str(row[column]) for column in (*ORDER, *filled))
        if name in rows:
            raise GendistError(f"{folder / METRICS}: the same run ({name}) is in another folder too")
        rows[name] = row
        hashes[name] = hash_file(folder / METRICS)
    if not rows:
        raise GendistError(f"{target}: no run folders to collect")
    ordered = sorted(rows.values(), key=lambda row: [_sort_key(row[column]) for column in (*ORDER, *OPTIONAL.names)])
    further = [field for field in OPTIONAL if any(row[field.name] is not None for row in ordered)]
    table = pa.Table.from_pylist(ordered, schema=pa.schema([*SCHEMA, *further]))
    write_parquet(target, table, Provenance("evaluation", inputs=hashes))


def evaluate_logits(
    test_texts: Path, logits: Path, folder: Path, row: RunMetadata, train_seconds: float
) -> dict[str, Any]:
    """Score logits on the test rows and write the run; the teacher is evaluated so.

    Args:
        test_texts: texts file with the gold labels.
        logits: logits file with the same ids, in any order.
        folder: run folder to write.
        row: what was run.
        train_seconds: wall time of the training.

    Returns:
        The content of ``metrics.json``.

    Raises:
        GendistError: if a file is missing or damaged, or ids or classes of the two differ.
    """
    texts = read_texts(test_texts)
    ids, matrix = read_logits([logits], "id")
    order = np.argsort(ids)
    wanted = np.argsort(texts.ids)
    if not np.array_equal(ids[order], texts.ids[wanted]):
        raise GendistError(f"{logits}: its ids are not those of {test_texts}")
    if matrix.shape[1] != len(texts.label_names):
        raise GendistError(f"{logits}: {matrix.shape[1]} classes, but {test_texts} names {len(texts.label_names)}")
    matched = np.empty_like(matrix)  # (rows, classes) in the order of the texts
    matched[wanted] = matrix[order]
    provenance = Provenance("evaluation", inputs={"texts": hash_file(test_texts), "logits": hash_file(logits)})
    return write_run(folder, row, texts.ids, texts.labels, matched.argmax(axis=1), matched, provenance, train_seconds)


def _read_row(folder: Path) -> dict[str, Any]:
    path = folder / METRICS
    row = dict.fromkeys(OPTIONAL.names) | read_json(path)
    row["train_seconds"] = read_json(folder / TIMING).get("train_seconds")
    missing, unknown = set(SCHEMA.names) - set(row), set(row) - {*SCHEMA.names, *OPTIONAL.names}
    if missing or unknown:
        wrong = f"lacks {', '.join(sorted(missing))}" if missing else f"has unknown {', '.join(sorted(unknown))}"
        raise GendistError(f"{path}: {wrong}; delete the folder and run again")
    for name in REQUIRED:
        if row[name] is None:
            raise GendistError(f"{folder / TIMING if name == 'train_seconds' else path}: '{name}' is empty")
    try:
        pa.Table.from_pylist([row], schema=pa.schema([*SCHEMA, *OPTIONAL]))
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise GendistError(f"{path}: a value has the wrong type ({str(error).splitlines()[0]})") from None
    return row


def _sort_key(value: str | int | None) -> tuple[bool, str | int]:
    return (value is not None, "" if value is None else value)
