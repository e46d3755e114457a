"""Scores of real rows by students that did not train on them: what the choice and the calibration go by.

A small data set has no rows to spare, so each of its folds is held out once (cross-fitting). Generator
and teacher are not trained anew: they have seen the held-out rows, so the scores are somewhat too good.
"""

import logging
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from gendist.config.student_settings import Student, Training
from gendist.io.parquet import write_parquet
from gendist.io.provenance import Provenance
from gendist.jobs.progress_log import Progress
from gendist.nn import devices
from gendist.stages.export.tokenizer import require_tokenizer
from gendist.stages.logits.files import logits_column
from gendist.stages.students.data import Synthetic, TrainingRows, Unlabelled, training_rows
from gendist.stages.students.filters import selection_of
from gendist.stages.students.general import build_untrained, general_start
from gendist.stages.students.run import encode, input_hashes
from gendist.stages.students.seeds import fitted_seeds
from gendist.stages.students.subwords import load_subwords
from gendist.stages.students.train import Schedule, student_logits
from gendist.stages.texts.tables import Texts, read_texts

log = logging.getLogger(__name__)


def assign_folds(texts: Texts, folds: int, seed: int) -> np.ndarray:
    """Return the fold of each row (rows,), 0 to ``folds`` - 1.

    Folds are of equal size, as far as that goes, with equal shares of each class; equal texts share a fold.
    """
    _, first, group = np.unique(np.array(texts.texts, dtype=object), return_index=True, return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(len(first))
    by_class = shuffled[np.argsort(texts.labels[first][shuffled], kind="stable")]
    fold = np.empty(len(first), np.int64)
    fold[by_class] = np.arange(len(first)) % folds
    return fold[group]


def cross_fit(
    target: Path,
    train: Path,
    embeddings: Path,
    regime: str,
    variant: str,
    student: Student,
    training: Training,
    folds: int,
    seed: int,
    train_logits: Path | None = None,
    synthetic: Synthetic | None = None,
    threads: int = 1,
    unlabelled: Unlabelled | None = None,
) -> None:
    """Train a student once for each fold, without its real rows, and write the scores of those rows.

    Writes id, fold, label and logits of every real row. A regime without real rows is trained once.

    Args:
        target: Parquet file to write.
        train: real rows.
        embeddings: folder with the subword tokenizer and vectors.
        regime: what the student trains on.
        variant: of the run, for messages.
        student: network.
        training: schedule.
        folds: number of folds.
        seed: of the folds, which are the same for all students, and of each training.
        train_logits: teacher logits of the real rows.
        synthetic: shards and their logits; all their rows are trained on every time.
        threads: CPU threads.
        unlabelled: real rows without labels and their logits; all are trained on every time.
    """
    require_tokenizer(embeddings)  # a student that cannot be exported is not worth the time
    real = read_texts(train)
    subwords = load_subwords(embeddings)
    rows = training_rows(regime, real, train_logits, synthetic, selection_of(variant, training), unlabelled)
    fold = assign_folds(real, folds, seed)
    encoded = encode(subwords, real.texts, training.max_pieces)
    logits = np.empty((len(real.texts), len(real.label_names)), np.float32)
    build_one = partial(build_untrained, subwords.vectors, student, len(real.label_names))
    devices.prepare(threads, seed)
    parts = _parts(rows, fold)
    steps = [Schedule.of(len(others.texts), others.n_real, training).steps for _, others in parts]
    progress = Progress("cross-fitting", sum(steps), "steps")
    for number, (held_out, others) in enumerate(parts, start=1):
        progress.what = f"cross-fitting, fold {number} of {len(parts)}"
        trained_on = encode(subwords, others.texts, training.max_pieces)
        (network,) = fitted_seeds(build_one, trained_on, others, student, training, [seed], devices.CPU, progress)
        logits[held_out] = student_logits(network, [encoded[i] for i in held_out])
        right = float(np.mean(logits[held_out].argmax(1) == real.labels[held_out]))
        log.info("fold %d of %d: accuracy %.4f on %d held-out rows", number, len(parts), right, len(held_out))
    settings = {"student": student.model_dump(mode="json"), "training": training.model_dump(mode="json")}
    inputs = input_hashes({"train": train, **general_start(student)}, embeddings, train_logits, synthetic, unlabelled)
    provenance = Provenance("export", inputs, {**settings, "regime": regime, "folds": folds}, seed)
    columns = {
        "id": pa.array(real.ids, pa.int64()),
        "fold": pa.array(fold, pa.int32()),
        "label": pa.array(real.labels, pa.int32()),
        "logits": logits_column(logits),
    }
    write_parquet(target, pa.table(columns), provenance, {"label_names": real.label_names})


def _parts(rows: TrainingRows, fold: np.ndarray) -> list[tuple[np.ndarray, TrainingRows]]:
    """Return the real rows to score and the rows to train on before, for every training."""
    if rows.n_real == 0:
        return [(np.arange(len(fold)), rows)]
    held_out = [np.flatnonzero(fold == k) for k in np.unique(fold)]
    return [(places, rows.without(places)) for places in held_out]
