"""Run folders: metrics, predictions and timing of one trained system on the test rows.

Files: ``metrics.json`` (one tidy row), ``predictions.parquet`` (id, label, predicted, logits) and ``timing.json``.
Timing has its own file, so that all others are deterministic.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gendist.io.json_files import write_json
from gendist.io.parquet import write_parquet
from gendist.io.provenance import Provenance
from gendist.stages.evaluation.metrics import classification_metrics

METRICS = "metrics.json"
PREDICTIONS = "predictions.parquet"
TIMING = "timing.json"


@dataclass(frozen=True)
class RunMetadata:
    """The columns of a tidy row that are known before evaluation."""

    dataset: str
    """Name of the dataset."""
    system: str
    """A row of the tables: ``tfidf-svm``, ``teacher``, ``kim``, ``kim+gendist`` ..."""
    n_real: int
    """Labelled training rows; 0 for a student of synthetic rows alone."""
    student: str | None = None
    """Of a student: its entry in the config."""
    regime: str | None = None
    """Of a student, what it learns from: ``scratch``, ``dist``, ``gendist``, ``synthetic``, ``hard``, ``unlabelled``
    or ``gendist-unlabelled``."""
    generator: str | None = None
    """Entry of the generator that wrote the synthetic rows."""
    sampling: str | None = None
    """Entry of the sampling strategy that they were drawn with."""
    teacher: str | None = None
    """Entry of the teacher whose logits were learnt from; for the system ``teacher``, of itself."""
    n_synthetic: int = 0
    """Synthetic training rows, empty ones included."""
    seed: int | None = None
    """Seed of the training; empty where nothing is random."""
    n_parameters: int | None = None
    """Learned weights, embeddings included."""
    variant: str | None = None
    """Of a student: ``TEACHER.GENERATOR.SAMPLING.TRAINING``, as far as its regime has them. Of the teacher: its
    entry."""
    n_unlabelled: int | None = None
    """Real training rows without labels. The column exists only if some run has such rows."""


def write_run(
    folder: Path,
    row: RunMetadata,
    *,
    ids: np.ndarray,
    labels: np.ndarray,
    predicted: np.ndarray,
    logits: np.ndarray | None,
    provenance: Provenance,
    train_seconds: float,
) -> dict[str, Any]:
    """Evaluate predictions and write a run folder; each file is written atomically.

    Args:
        folder: run folder; created if missing.
        row: identity of the run.
        ids: (rows,) ids of the test rows.
        labels: (rows,) gold classes.
        predicted: (rows,) predicted classes.
        logits: (rows, classes), or None for systems without logits.
        provenance: metadata of ``predictions.parquet``.
        train_seconds: wall time of the training.

    Returns:
        The content of ``metrics.json``.

    Raises:
        ValueError: if there are no rows, shapes differ, or logits are not finite.
    """
    if len(ids) != len(labels):
        raise ValueError(f"{len(ids)} ids, but {len(labels)} labels")
    record = asdict(row) | classification_metrics(labels, predicted, logits)
    if row.n_unlabelled is None:
        del record["n_unlabelled"]
    table = pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "label": pa.array(labels, pa.int32()),
            "predicted": pa.array(predicted, pa.int32()),
            "logits": _list_column(logits, len(ids)),
        }
    )
    write_parquet(Path(folder) / PREDICTIONS, table, provenance)
    write_json(Path(folder) / TIMING, {"train_seconds": float(train_seconds)})
    write_json(Path(folder) / METRICS, record)
    return record


def _list_column(logits: np.ndarray | None, rows: int) -> pa.Array:
    list_type = pa.list_(pa.float32())
    if logits is None:
        return pa.nulls(rows, list_type)
    return pa.array(list(np.asarray(logits, dtype=np.float32)), list_type)
