"""Cross-fitting: held-out logits of all real rows, for model selection and calibration.

Each fold is held out once, because small datasets have no rows to spare. Generator and teacher are not retrained;
they have seen the held-out rows, so the scores are slightly optimistic.
"""

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa

from gendist.config.student_settings import Student, Training
from gendist.io.parquet import write_parquet
from gendist.io.provenance import Provenance
from gendist.jobs.progress_log import Progress
from gendist.nn import devices
from gendist.stages.export.require_tokenizer import require_tokenizer
from gendist.stages.logits.logits_files import logits_column
from gendist.stages.students.distil_student import encode_pieces, input_hashes
from gendist.stages.students.initial_weights import initial_weight_files, network_builder
from gendist.stages.students.row_filters import variant_filter
from gendist.stages.students.subwords import load_subwords
from gendist.stages.students.train_seeds import train_seeds
from gendist.stages.students.train_student import TrainingSchedule, predict_student
from gendist.stages.students.training_rows import SyntheticFiles, TrainingRows, UnlabelledFiles, assemble_training_rows
from gendist.stages.texts.text_tables import Texts, read_texts

log = logging.getLogger(__name__)


def assign_folds(texts: Texts, folds: int, seed: int) -> np.ndarray:
    """Return the fold of each row (rows,), 0 to ``folds`` - 1.

    Folds are stratified and of nearly equal size; duplicate texts share a fold.
    """
    _, first, group = np.unique(np.array(texts.texts, dtype=object), return_index=True, return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(len(first))
    by_class = shuffled[np.argsort(texts.labels[first][shuffled], kind="stable")]
    fold = np.empty(len(first), np.int64)
    fold[by_class] = np.arange(len(first)) % folds
    return fold[group]


def cross_fit(
    target: Path,
    *,
    train: Path,
    embeddings: Path,
    regime: str,
    variant: str,
    student: Student,
    training: Training,
    folds: int,
    seed: int,
    train_logits: Path | None = None,
    synthetic: SyntheticFiles | None = None,
    threads: int = 1,
    unlabelled: UnlabelledFiles | None = None,
    general: UnlabelledFiles | None = None,
) -> None:
    """Train a student once per fold without the real rows of the fold, and write their logits.

    Writes id, fold, label and logits of every real row. A regime without real rows trains once.

    Args:
        target: Parquet file to write.
        train: labelled rows.
        embeddings: folder with the subword tokenizer and vectors.
        regime: regime of the student.
        variant: variant of the run, for messages.
        student: architecture settings.
        training: training settings.
        folds: number of folds.
        seed: seed of the folds, equal for all students, and of each training.
        train_logits: teacher logits of the real rows.
        synthetic: shards and their logits, used in every fold.
        threads: CPU threads.
        unlabelled: unlabelled real rows and their logits, used in every fold.
        general: general texts and their logits, used in every fold.

    Raises:
        GendistError: if the embeddings have no exportable tokenizer, an input is missing or damaged, or training
            diverges.
    """
    require_tokenizer(embeddings)  # fail before training
    real = read_texts(train)
    subwords = load_subwords(embeddings)
    rows = assemble_training_rows(
        regime,
        real,
        real_logits=train_logits,
        synthetic=synthetic,
        row_filter=variant_filter(variant, training),
        unlabelled=unlabelled,
        general=general,
        general_rows=student.general_rows,
    )
    fold = assign_folds(real, folds, seed)
    encoded = encode_pieces(subwords, real.texts, training.max_pieces)
    logits = np.empty((len(real.texts), len(real.label_names)), np.float32)
    devices.prepare(threads, seed)
    parts = _training_folds(rows, fold)
    schedules = [TrainingSchedule.of(len(part.texts), part.n_real, training, student) for _, part in parts]
    progress = Progress("cross-fitting", sum(schedule.steps for schedule in schedules), "steps")
    for number, (held_out, train_rows) in enumerate(parts, start=1):
        progress.description = f"cross-fitting, fold {number} of {len(parts)}"
        train_ids = encode_pieces(subwords, train_rows.texts, training.max_pieces)
        build_network = network_builder(
            subwords.vectors, student, len(real.label_names), encoded=train_ids, rows=train_rows, training=training
        )
        (network,) = train_seeds(
            build_network,
            train_ids,
            train_rows,
            student=student,
            training=training,
            seeds=[seed],
            device=devices.CPU,
            progress=progress,
        )
        logits[held_out] = predict_student(network, [encoded[i] for i in held_out])
        share = float(np.mean(logits[held_out].argmax(1) == real.labels[held_out]))
        log.info("fold %d of %d: accuracy %.4f on %d held-out rows", number, len(parts), share, len(held_out))
    settings = {"student": student.model_dump(mode="json"), "training": training.model_dump(mode="json")}
    inputs = input_hashes(
        {"train": train, **initial_weight_files(student)},
        embeddings,
        train_logits=train_logits,
        synthetic=synthetic,
        unlabelled=unlabelled,
        general=general,
    )
    provenance = Provenance("export", inputs, {**settings, "regime": regime, "folds": folds}, seed)
    columns = {
        "id": pa.array(real.ids, pa.int64()),
        "fold": pa.array(fold, pa.int32()),
        "label": pa.array(real.labels, pa.int32()),
        "logits": logits_column(logits),
    }
    write_parquet(target, pa.table(columns), provenance, {"label_names": real.label_names})


def _training_folds(rows: TrainingRows, fold: np.ndarray) -> list[tuple[np.ndarray, TrainingRows]]:
    """Return the held-out row indices and the training rows of each training."""
    if rows.n_real == 0:
        return [(np.arange(len(fold)), rows)]
    held_out = [np.flatnonzero(fold == k) for k in np.unique(fold)]
    return [(indices, rows.without(indices)) for indices in held_out]
