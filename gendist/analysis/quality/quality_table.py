"""Quality table: measures of every pool of a study, and of real rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gendist.analysis.quality.assess_pool import GENERATED, HELD_OUT, TRAINING
from gendist.analysis.quality.teacher_scores import TeacherScores, agreement
from gendist.analysis.table_files import MISSING, Cell, markdown_table, write_csv
from gendist.errors import GendistError
from gendist.io import escape
from gendist.io.atomic_files import write_text
from gendist.io.json_files import read_json
from gendist.io.parquet import read_parquet
from gendist.stages.logits.logits_files import read_logits

PoolRecord = Mapping[str, Any]
"""Contents of a ``quality.json``."""

REAL_GROUPS = {TRAINING: "training real", HELD_OUT: "held-out real"}


@dataclass(frozen=True)
class MeasureColumn:
    """A column of the table: heading and number format."""

    name: str
    scale: float = 1
    digits: int = 1


COLUMNS = (
    MeasureColumn("rows", digits=0),
    MeasureColumn("words, median", digits=0),
    MeasureColumn("distinct-2", digits=3),
    MeasureColumn("new words, %", 100),
    MeasureColumn("likeness", digits=3),
    MeasureColumn("repeated, %", 100),
    MeasureColumn("copied, %", 100),
    MeasureColumn("confidence", digits=2),
    MeasureColumn("sure, %", 100),
    MeasureColumn("balance", digits=3),
    MeasureColumn("as asked, %", 100),
    MeasureColumn("teachers agree, %", 100),
    MeasureColumn("students agree, %", 100),
    MeasureColumn("refused, %", 100),
    MeasureColumn("echoed, %", 100),
)


@dataclass(frozen=True)
class StudentPredictions:
    """Predictions of the students trained on a dataset's main pool, and of their teacher."""

    predictions: Sequence[Path]
    """``predictions.parquet`` of each seed."""
    teacher: Path
    """The teacher's logits of the test rows."""


def write_quality(
    pools: Sequence[Path], *, students: Mapping[str, StudentPredictions], system: str, out_csv: Path, out_md: Path
) -> None:
    """Write a row per pool, and one each for the training rows and the held-out real rows of a dataset.

    Args:
        pools: ``quality.json`` files; the first of each dataset is its main pool.
        students: student predictions by dataset; their agreement is in the row of the main pool.
        system: name of the students' system.
        out_csv: all rows, shares in percent; empty cells where a measure does not apply.
        out_md: the same in Markdown.

    Raises:
        GendistError: if a file is missing or damaged.
    """
    names, values = [], []
    for dataset, records in records_by_dataset([read_json(path) for path in pools]).items():
        agreement_share = students_agreement(students[dataset]) if dataset in students else None
        for index, record in enumerate(records):
            names.append([dataset, pool_name(record)])
            values.append(_generated_measures(record, agreement_share if index == 0 else None))
        for group, name in REAL_GROUPS.items():
            names.append([dataset, name])
            values.append(_measures(records[0], group) + [None] * 5)
    header = ["dataset", "texts", *(column.name for column in COLUMNS)]
    rows: list[list[Cell]] = [
        [*name, *(_csv_value(v, c) for v, c in zip(measures, COLUMNS, strict=True))]
        for name, measures in zip(names, values, strict=True)
    ]
    cells = [
        [*map(escape.markdown, name), *(_markdown_value(v, c) for v, c in zip(measures, COLUMNS, strict=True))]
        for name, measures in zip(names, values, strict=True)
    ]
    write_csv(out_csv, header, rows)
    table = markdown_table([name.capitalize() for name in header], cells, align_right=range(2, len(header)))
    write_text(out_md, f"**Quality.** {escape.markdown(_caption(system))}\n\n{table}")


def records_by_dataset(records: Sequence[PoolRecord]) -> dict[str, list[PoolRecord]]:
    """Group records by dataset, preserving order."""
    groups: dict[str, list[PoolRecord]] = {}
    for record in records:
        groups.setdefault(record["dataset"], []).append(record)
    return groups


def pool_name(record: PoolRecord) -> str:
    """Return the name of a pool in tables and figures."""
    return f"{record['generator']}, {record['sampling']}"


def students_agreement(students: StudentPredictions) -> float | None:
    """Return the share of test rows where the students' mean probabilities and the teacher predict the same class.

    Raises:
        GendistError: if a file is missing or damaged, or the rows differ.
    """
    if not students.predictions:
        return None
    ids, logits = read_logits([students.teacher], "id")
    mean = np.zeros(logits.shape)
    for file in students.predictions:
        table = read_parquet(file, ["id", "logits"])
        if not np.array_equal(table["id"].to_numpy(), ids):
            raise GendistError(f"{file}: rows differ from those of {students.teacher}")
        mean += TeacherScores.from_logits(np.array(table["logits"].to_pylist())).probabilities
    return agreement(mean.argmax(axis=1), logits.argmax(axis=1))


def _generated_measures(record: PoolRecord, students: float | None) -> list[float | None]:
    measures = _measures(record, GENERATED)
    as_requested, others = record["as_asked"], list(record["as_other_teachers"].values())
    measures[5:7] = [record["repeats"]["repeated"], record["repeats"]["copied"]]
    finish = record.get("finish", {})
    unused = [finish[kind] / record["rows"] if kind in finish else None for kind in ("refusal", "echo")]
    teachers = sum(others) / len(others) if others else None
    return [*measures, as_requested and as_requested["all"], teachers, students, *unused]


def _measures(record: PoolRecord, group: str) -> list[float | None]:
    texts, scores = record["texts"][group], record["scores"][group]
    words = texts["same_words"]
    return [
        texts["rows"],
        median(texts["words"]),
        words["distinct_2"],
        words["new_words"] if group != TRAINING else None,
        texts["same_rows"]["nearest"],
        None,
        None,
        scores["confidence"]["mean"],
        scores["confidence"]["at_least_0.9"],
        scores["balance"],
    ]


def median(quantiles: PoolRecord) -> float:
    """Return the median from the quantiles."""
    values = quantiles["quantiles"]
    return float(values[len(values) // 2])


def _csv_value(value: float | None, column: MeasureColumn) -> float | None:
    return None if value is None else round(value * column.scale, 4)


def _markdown_value(value: float | None, column: MeasureColumn) -> str:
    return MISSING if value is None else f"{value * column.scale:,.{column.digits}f}"


def _caption(system: str) -> str:
    return (
        "Generated rows of every pool, the main one first, beside real rows. Rows: those that hold text; of held-out"
        " rows (test texts, without their labels) as many are drawn as were generated, where there are so many; the"
        " teacher's measures are over all of them. Distinct-2: different pairs of words over all pairs, and new words:"
        " share of words that no training row has, both on equally many words of a pool and of the real rows. Likeness:"
        " cosine of TF-IDF vectors with the most similar other row of the line, mean over equally many rows. Repeated:"
        " rows that repeat an earlier one (equal, or Jaccard similarity of character shingles of at least 0.8)."
        " Copied: rows that repeat a training row in this sense or have 8 words in a row of one. Confidence: the"
        " teacher's highest probability, mean; sure: rows with at least 0.9. Balance: entropy of the mean distribution"
        " over the classes, 1 where all are equally frequent. As asked: rows that the teacher takes for the class that"
        " the generator was asked for. Teachers agree: rows on which another teacher names the same class (mean over"
        f" the others). Students agree: test rows on which the {system} students together name the teacher's class."
        " Refused and echoed: answers of a prompted model that refuse, or repeat an example of their prompt; they are"
        " in no other measure and train no student."
    )
