"""Choose the size of a study and estimate its running time."""

from collections.abc import Sequence
from dataclasses import dataclass

from gendist.cli.own_data.data_warnings import MAX_SUBWORDS
from gendist.config import Study
from gendist.config.study_plan import export_candidates, planned_runs, sampling_count
from gendist.launcher.typical_times import (
    LENGTH,
    SCORED_ROW,
    SYNTHETIC_ROW,
    generator_seconds,
    student_seconds,
    teacher_seconds,
)

SHARD_ROWS = 500
MIN_SYNTHETIC, MAX_SYNTHETIC = 1000, 5000
SYNTHETIC_PER_CLASS = 250
MAX_TRAIN_ROWS = 5000
"""Limit of the training rows: more cost time and are no longer 'few labels'."""


@dataclass(frozen=True)
class StudySize:
    """Numbers of rows in the config."""

    train_per_class: int | None
    synthetic: int


def choose_study_size(counts: dict[str, int]) -> StudySize:
    """Choose numbers of rows from the training rows per class.

    All training rows, unless there are more than 5,000 and every class has at least 100. Synthetic rows: the larger of
    250 per class and twice the training rows, in whole shards of 500, between 1,000 and 5,000.
    """
    total, smallest = sum(counts.values()), min(counts.values())
    per_class = min(smallest, MAX_TRAIN_ROWS // len(counts)) if total > MAX_TRAIN_ROWS and smallest >= 100 else None
    used = total if per_class is None else per_class * len(counts)
    wanted = max(MIN_SYNTHETIC, min(MAX_SYNTHETIC, max(SYNTHETIC_PER_CLASS * len(counts), 2 * used)))
    return StudySize(per_class, -(-wanted // SHARD_ROWS) * SHARD_ROWS)


OTHER_JOBS_SECONDS = 90.0
"""Core seconds of all jobs that are not estimated separately."""


def estimate_seconds(study: Study, train_rows: int, test_rows: int, n_subwords: Sequence[int]) -> float:
    """Estimate the core seconds of a study of one dataset with the embedded models.

    Args:
        study: the study.
        train_rows: training rows in use.
        test_rows: test rows.
        n_subwords: subwords of each text in a sample.
    """
    ((name, dataset),) = study.datasets.items()
    length_factor = sum(min(n, MAX_SUBWORDS) for n in n_subwords) / max(1, len(n_subwords)) / LENGTH
    generated_rows = dataset.synthetic + sampling_count(study, name) * (len(study.samplings) - 1)
    model_seconds = teacher_seconds(study, study.teacher, train_rows) + generator_seconds(
        study, study.generator, train_rows
    )
    model_seconds += SYNTHETIC_ROW * generated_rows + SCORED_ROW * (
        generated_rows + train_rows + test_rows + dataset.n_unlabelled
    )
    runs = planned_runs(study)
    if study.export.enabled:
        runs += export_candidates(study, name) * study.export.folds
    students = sum(student_seconds(study, run._asdict(), train_rows) for run in runs)
    return model_seconds * length_factor + students + OTHER_JOBS_SECONDS


def format_estimate(seconds: float) -> str:
    """Format an estimated duration: ``about 20 minutes``, ``about 3 hours``."""
    minutes = seconds / 60
    if minutes < 90:
        return f"about {max(5, round(minutes / 5) * 5)} minutes"
    return f"about {round(minutes / 60)} hours"
