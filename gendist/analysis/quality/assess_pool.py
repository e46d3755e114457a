"""Measure one pool: what it holds, as numbers, as rows, and as a page to browse."""

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
from gendist.io.files import write_json, write_text
from gendist.io.parquet import read_parquet, write_parquet_parts
from gendist.io.provenance import Provenance, hash_file
from gendist.stages.generator.folder import record_in
from gendist.stages.logits.files import read_logits
from gendist.stages.synthetic.repeat_marks import GRAM, Marks, is_any, is_copied, is_repeated, read_marks
from gendist.stages.texts.tables import Texts, read_texts

log = logging.getLogger(__name__)

GENERATED, TRAINING, HELD_OUT = "generated", "training", "held_out"
"""The groups of rows that stand side by side."""


@dataclass(frozen=True)
class PoolFiles:
    """What a pool is measured from."""

    train: Path
    """Real training rows."""
    test: Path
    """Held-out rows; their texts alone are read."""
    generator: Path
    """``config.json`` of the generator; ``rows.parquet`` where its rows are given."""
    shards: Sequence[Path]
    repeats: Path
    """From ``find_repeats``, for as many rows."""
    train_logits: Path
    test_logits: Path
    logits: Sequence[Path]
    """The main teacher's, of each shard."""
    others: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    """Those of other teachers, by name."""


@dataclass(frozen=True)
class PoolNames:
    """What a pool is called."""

    dataset: str
    generator: str
    sampling: str
    teacher: str


def logits_by_teacher(teachers: Sequence[str], logits: Sequence[str]) -> dict[str, list[Path]]:
    """Share a flat list of logits files, of one teacher after the other, out to them."""
    shards = len(logits) // len(teachers)
    return {name: [Path(p) for p in logits[i * shards : (i + 1) * shards]] for i, name in enumerate(teachers)}


def assess_pool(files: PoolFiles, names: PoolNames, count: int, out_json: Path, out_rows: Path, out_html: Path) -> None:
    """Measure the first ``count`` rows of a pool beside the real training rows and held-out real rows.

    Args:
        files: what is read.
        names: what is written beside the numbers.
        count: rows of the pool.
        out_json: all measures.
        out_rows: a row per generated row that holds text (see ``RowTables``).
        out_html: a page of at most a thousand of them.

    Raises:
        GendistError: if a file is missing or damaged, or files do not fit each other.
    """
    real, pool = read_texts(files.train), PoolTexts(files.shards, count)
    scores = {
        GENERATED: _pool_scores(files.logits, pool, real),
        TRAINING: _file_scores(files.train_logits, real),
        HELD_OUT: _file_scores(files.test_logits, real),
    }
    marks = read_marks(files.repeats, pool.rows)
    asked = requested_labels(files.generator, pool, real)
    made = scores[GENERATED].predicted
    others = {name: _pool_scores(logits, pool, real).predicted for name, logits in files.others.items()}
    record: dict[str, Any] = {
        **vars(names),
        "rows": count,
        "empty": count - len(pool),
        "repeats": describe_repeats(marks),
        "texts": describe_texts(
            {
                GENERATED: pool,
                TRAINING: ListedTexts(real.texts),
                HELD_OUT: ListedTexts(sample_texts(files.test, len(pool), 0)),
            },
            TRAINING,
        ),
        "scores": {group: describe_scores(of_group, real.label_names) for group, of_group in scores.items()},
        "as_asked": None if asked is None else agreement_with_request(asked, made, real.label_names),
        "as_other_teachers": {name: agreement(made, predicted) for name, predicted in others.items()},
    }
    rows = RowTables(pool, real, scores[GENERATED], marks, asked)
    inputs = {"repeats": hash_file(files.repeats), "generator": hash_file(files.generator)}
    inputs |= {f"logits/{i:05d}": hash_file(file) for i, file in enumerate(files.logits)}
    write_json(out_json, record)
    provenance = Provenance("quality", inputs, {"count": count})
    chosen = select_page_rows(rows.confidence, is_any(marks))
    shown: list[SampleRow] = []
    write_parquet_parts(out_rows, rows.tables(chosen, shown), provenance, {"label_names": real.label_names})
    write_text(out_html, samples_page(shown, len(pool), vars(names), real.label_names))
    log.info("%d rows with text, teacher's mean confidence %.3f", len(pool), scores[GENERATED].confidence.mean())


def describe_repeats(marks: Marks) -> dict[str, Any]:
    """Count repeated rows, as shares of the rows that hold text.

    Returns:
        ``duplicates`` and ``near_duplicates`` of an earlier row, ``copies`` and ``near_copies`` of a training row,
        ``with_gram``: rows with a run of 8 words of a training row; ``repeated`` and ``copied``: what the filters
        drop_duplicates and drop_copies would drop; quantiles of ``longest_run`` and of ``nearest_similarity``.
    """
    found = {
        "duplicates": marks["duplicate_of"] >= 0,
        "near_duplicates": marks["near_duplicate_of"] >= 0,
        "copies": marks["copy_of"] >= 0,
        "near_copies": marks["near_copy_of"] >= 0,
        "with_gram": marks["longest_run"] >= GRAM,
        "repeated": is_repeated(marks),
        "copied": is_copied(marks),
    }
    shares = {name: round(float(mark.mean()), 6) for name, mark in found.items()}
    return shares | {name: quantiles(marks[name]) for name in ("longest_run", "nearest_similarity")}


def requested_labels(generator: Path, pool: PoolTexts, real: Texts) -> np.ndarray | None:
    """Return the class that each row of a pool was asked for, or None if that is not known.

    Raises:
        GendistError: if the generator has other labels than the training rows.
    """
    if generator.suffix == ".parquet":
        return _given_labels(generator, pool, real)
    record = record_in(generator)
    if not record.label_names:
        return None
    if list(record.label_names) != real.label_names:
        raise GendistError(f"{generator}: labels are {', '.join(record.label_names)}; not those of the training rows")
    return np.array([record.label_of(int(row)) for row in pool.rows])


def _given_labels(rows: Path, pool: PoolTexts, real: Texts) -> np.ndarray | None:
    table = read_parquet(rows)
    if "label" not in table.column_names:
        return None
    index_of = {name: index for index, name in enumerate(real.label_names)}
    labels = table["label"].take(pa.array(pool.rows)).to_pylist()
    unknown = next((label for label in labels if label not in index_of), None)
    if unknown is not None:
        raise GendistError(f"{rows}: label '{unknown}' is not of the training rows; delete it and run again")
    return np.array([index_of[label] for label in labels])


class RowTables:
    """All rows of a pool: text, what the teacher makes of it, what it repeats, its nearest real row.

    ``entropy`` is normalised (0 to 1), ``asked`` the label of the prompt (null without one), ``nearest_similarity``
    the cosine of TF-IDF vectors; other columns are those of ``marks.SCHEMA``.
    """

    def __init__(
        self, pool: PoolTexts, real: Texts, scores: TeacherScores, marks: Marks, asked: np.ndarray | None
    ) -> None:
        self._pool, self._real, self._marks, self._asked = pool, real, marks, asked
        self._predicted = scores.predicted
        self.confidence = np.round(scores.confidence, 6)
        """(rows,) float64."""
        self._entropy = np.round(scores.entropy, 6)

    def tables(self, chosen: np.ndarray, shown: list[SampleRow]) -> Iterator[pa.Table]:
        """Yield the rows, some thousand at a time; those at the places ``chosen`` are also appended to ``shown``."""
        first = 0
        for texts in self._pool.batches():
            if not texts:
                continue
            last = first + len(texts)
            table = self._table(texts, slice(first, last))
            shown += table.take(chosen[(chosen >= first) & (chosen < last)] - first).to_pylist()
            first = last
            yield table

    def _table(self, texts: Sequence[str], part: slice) -> pa.Table:
        real, marks = self._real, {name: values[part] for name, values in self._marks.items()}
        names = np.array(real.label_names, object)
        place = {int(key): i for i, key in enumerate(real.ids)}
        nearest = [place[int(key)] for key in marks["nearest_id"]]
        asked = pa.nulls(len(texts), pa.string())
        if self._asked is not None:
            asked = pa.array(names[self._asked[part]], pa.string())
        columns: dict[str, Any] = {
            "row": pa.array(self._pool.rows[part], pa.int64()),
            "text": pa.array(texts, pa.string()),
            "predicted": pa.array(names[self._predicted[part]], pa.string()),
            "asked": asked,
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
    return TeacherScores.of(logits)
