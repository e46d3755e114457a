"""Measure one pool: summary statistics, a table of rows, and an HTML page of samples."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gendist.analysis.generated_rows import read_pool_logits
from gendist.analysis.quality.memorisation import sample_texts
from gendist.analysis.quality.samples_page import SampleRow, samples_page, select_page_rows
from gendist.analysis.quality.teacher_scores import TeacherScores, agreement, agreement_with_request, describe_scores
from gendist.analysis.quality.text_overlap import split_words
from gendist.analysis.quality.text_statistics import ListedTexts, PoolTexts, describe_texts, quantiles
from gendist.errors import GendistError
from gendist.io.atomic_files import write_text
from gendist.io.json_files import write_json
from gendist.io.parquet import read_parquet, write_parquet_parts
from gendist.io.provenance import Provenance, hash_file
from gendist.stages.generator.generator_folder import read_record_file
from gendist.stages.logits.logits_files import read_logits
from gendist.stages.synthetic.pool_reader import finish_counts
from gendist.stages.synthetic.repeats_table import (
    GRAM,
    Repeats,
    is_copy,
    is_duplicate,
    is_duplicate_or_copy,
    read_repeats,
)
from gendist.stages.texts.text_tables import Texts, read_texts

log = logging.getLogger(__name__)

GENERATED, TRAINING, HELD_OUT = "generated", "training", "held_out"
"""Groups of rows that are compared."""


@dataclass(frozen=True)
class PoolFiles:
    """Input files of ``assess_pool``."""

    train: Path
    """Real training rows."""
    test: Path
    """Held-out rows; labels are ignored."""
    generator: Path
    """``config.json`` of the generator, or ``rows.parquet`` of given rows."""
    shards: Sequence[Path]
    repeats: Path
    """Written by ``find_repeats`` for the same rows."""
    train_logits: Path
    test_logits: Path
    logits: Sequence[Path]
    """Logits of the main teacher, one file per shard."""
    other_logits: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    """Logits of other teachers, by name."""


@dataclass(frozen=True)
class PoolNames:
    """Names that identify a pool."""

    dataset: str
    generator: str
    sampling: str
    teacher: str


def logits_by_teacher(teachers: Sequence[str], logits: Sequence[Path]) -> dict[str, Sequence[Path]]:
    """Split a flat list of logits files by teacher."""
    shards = len(logits) // len(teachers)
    return {name: logits[i * shards : (i + 1) * shards] for i, name in enumerate(teachers)}


def assess_pool(
    files: PoolFiles, names: PoolNames, *, count: int, out_json: Path, out_rows: Path, out_html: Path
) -> None:
    """Measure the first ``count`` rows of a pool, the training rows and held-out rows.

    Args:
        files: input files.
        names: names of the pool.
        count: rows of the pool.
        out_json: all measures.
        out_rows: table of the generated rows with text (see ``RowTables``).
        out_html: page of at most a thousand of them.

    Raises:
        GendistError: if a file is missing or damaged, or files do not match.
    """
    real, pool = read_texts(files.train), PoolTexts(files.shards, count)
    scores = {
        GENERATED: _pool_scores(files.logits, pool, real),
        TRAINING: _file_scores(files.train_logits, real),
        HELD_OUT: _file_scores(files.test_logits, real),
    }
    marks = read_repeats(files.repeats, pool.rows)
    requested = requested_labels(files.generator, pool, real)
    main_predicted = scores[GENERATED].predicted
    other_predictions = {
        name: _pool_scores(logits, pool, real).predicted for name, logits in files.other_logits.items()
    }
    record: dict[str, Any] = {
        **vars(names),
        "rows": count,
        "empty": count - len(pool),
        "finish": finish_counts(files.shards, count),
        "repeats": describe_repeats(marks),
        "texts": describe_texts(
            {
                GENERATED: pool,
                TRAINING: ListedTexts(real.texts),
                HELD_OUT: ListedTexts(sample_texts(files.test, len(pool), 0)),
            },
            TRAINING,
        ),
        "scores": {group: describe_scores(group_scores, real.label_names) for group, group_scores in scores.items()},
        "as_asked": None if requested is None else agreement_with_request(requested, main_predicted, real.label_names),
        "as_other_teachers": {
            name: agreement(main_predicted, predicted) for name, predicted in other_predictions.items()
        },
    }
    rows = RowTables(pool, real, scores=scores[GENERATED], marks=marks, requested=requested)
    inputs = {"repeats": hash_file(files.repeats), "generator": hash_file(files.generator)}
    inputs |= {f"logits/{i:05d}": hash_file(file) for i, file in enumerate(files.logits)}
    write_json(out_json, record)
    provenance = Provenance("quality", inputs, {"count": count})
    page_indices = select_page_rows(rows.confidence, is_duplicate_or_copy(marks))
    page_rows: list[SampleRow] = []
    write_parquet_parts(out_rows, rows.tables(page_indices, page_rows), provenance, {"label_names": real.label_names})
    write_text(out_html, samples_page(page_rows, len(pool), vars(names), real.label_names))
    log.info("%d rows with text, teacher's mean confidence %.3f", len(pool), scores[GENERATED].confidence.mean())


def describe_repeats(marks: Repeats) -> dict[str, Any]:
    """Return shares of repeated rows among the rows with text.

    Returns:
        Shares of ``duplicates`` and ``near_duplicates`` of an earlier row; of ``copies`` and ``near_copies`` of a
        training row; ``with_gram``: of rows with a run of 8 words of a training row; ``repeated`` and ``copied``: of
        rows dropped by the filters drop_duplicates and drop_copies. Quantiles of ``longest_run`` and
        ``nearest_similarity``.
    """
    marks_by_name = {
        "duplicates": marks["duplicate_of"] >= 0,
        "near_duplicates": marks["near_duplicate_of"] >= 0,
        "copies": marks["copy_of"] >= 0,
        "near_copies": marks["near_copy_of"] >= 0,
        "with_gram": marks["longest_run"] >= GRAM,
        "repeated": is_duplicate(marks),
        "copied": is_copy(marks),
    }
    shares = {name: round(float(mark.mean()), 6) for name, mark in marks_by_name.items()}
    return shares | {name: quantiles(marks[name]) for name in ("longest_run", "nearest_similarity")}


def requested_labels(generator: Path, pool: PoolTexts, real: Texts) -> np.ndarray | None:
    """Return the class in the prompt of each row, (rows,), or None for an unconditional pool.

    Raises:
        GendistError: if the labels of the generator differ from those of the training rows.
    """
    if generator.suffix == ".parquet":
        return _given_labels(generator, pool, real)
    record = read_record_file(generator)
    if not record.label_names:
        return None
    if list(record.label_names) != real.label_names:
        raise GendistError(
            f"{generator}: labels are {', '.join(record.label_names)}, which differ from those of the training rows"
        )
    return np.array([record.label_of(int(row)) for row in pool.rows])


def _given_labels(rows: Path, pool: PoolTexts, real: Texts) -> np.ndarray | None:
    table = read_parquet(rows)
    if "label" not in table.column_names:
        return None
    index_of = {name: index for index, name in enumerate(real.label_names)}
    labels = table["label"].take(pa.array(pool.rows)).to_pylist()
    unknown = next((label for label in labels if label not in index_of), None)
    if unknown is not None:
        raise GendistError(f"{rows}: label '{unknown}' does not occur in the training rows; delete it and rerun")
    return np.array([index_of[label] for label in labels])


class RowTables:
    """Rows of a pool as tables: text, predictions of the teacher, repeat marks, nearest real row.

    ``entropy`` is normalised (0 to 1), ``asked`` is the label in the prompt (or null), ``nearest_similarity`` the
    cosine of TF-IDF vectors. Other columns are those of ``repeat_marks.SCHEMA``.
    """

    def __init__(
        self, pool: PoolTexts, real: Texts, *, scores: TeacherScores, marks: Repeats, requested: np.ndarray | None
    ) -> None:
        self._pool, self._real, self._marks, self._requested = pool, real, marks, requested
        self._predicted = scores.predicted
        self.confidence = np.round(scores.confidence, 6)
        """Probability of the predicted class, (rows,) float64."""
        self._entropy = np.round(scores.entropy, 6)

    def tables(self, page_indices: np.ndarray, page_rows: list[SampleRow]) -> Iterator[pa.Table]:
        """Yield the rows in batches; append the rows at ``page_indices`` to ``page_rows``."""
        start = 0
        for texts in self._pool.batches():
            if not texts:
                continue
            stop = start + len(texts)
            table = self._table(texts, slice(start, stop))
            page_rows += table.take(page_indices[(page_indices >= start) & (page_indices < stop)] - start).to_pylist()
            start = stop
            yield table

    def _table(self, texts: Sequence[str], part: slice) -> pa.Table:
        real, marks = self._real, {name: values[part] for name, values in self._marks.items()}
        names = np.array(real.label_names, object)
        index_of_id = {int(key): i for i, key in enumerate(real.ids)}
        nearest = [index_of_id[int(key)] for key in marks["nearest_id"]]
        requested = pa.nulls(len(texts), pa.string())
        if self._requested is not None:
            requested = pa.array(names[self._requested[part]], pa.string())
        columns: dict[str, Any] = {
            "row": pa.array(self._pool.rows[part], pa.int64()),
            "text": pa.array(texts, pa.string()),
            "predicted": pa.array(names[self._predicted[part]], pa.string()),
            "asked": requested,
            "confidence": self.confidence[part],
            "entropy": self._entropy[part],
            "n_words": pa.array([len(split_words(text)) for text in texts], pa.int32()),
        }
        for name in ("duplicate_of", "near_duplicate_of", "copy_of", "near_copy_of"):
            columns[name] = pa.array(marks[name], pa.int64(), mask=marks[name] < 0)
        columns |= {name: marks[name] for name in ("longest_run", "nearest_id", "nearest_similarity")}
        columns["nearest_label"] = pa.array(names[real.labels[nearest]], pa.string())
        columns["nearest_text"] = pa.array([real.texts[i] for i in nearest], pa.string())
        return pa.table(columns)


def _pool_scores(files: Sequence[Path], pool: PoolTexts, real: Texts) -> TeacherScores:
    return _teacher_scores(read_pool_logits(files, pool.rows), files[0], real)


def _file_scores(file: Path, real: Texts) -> TeacherScores:
    return _teacher_scores(read_logits([file], "id")[1], file, real)


def _teacher_scores(logits: np.ndarray, file: Path, real: Texts) -> TeacherScores:
    classes = len(real.label_names)
    if logits.shape[1] != classes:
        raise GendistError(f"{file}: {logits.shape[1]} classes, but the training rows have {classes}")
    return TeacherScores.from_logits(logits)
