"""How large a study of somebody's rows should be, and about how long it will take."""

from collections.abc import Sequence
from dataclasses import dataclass

from gendist.config import Study
from gendist.config.plan import export_candidates, planned_runs, sampling_count
from gendist.own_data.checks import CUT
from gendist.typical import LENGTH, SCORED_ROW, SYNTHETIC_ROW, generator_seconds, student_seconds, teacher_seconds

SHARD = 500
FEWEST, MOST = 1000, 5000
PER_CLASS = 250
ENOUGH = 5000
"""Training rows beyond which more of them cost time and are no longer 'few labels'."""


@dataclass(frozen=True)
class Size:
    """What the config says of numbers of rows."""

    train_per_class: int | None
    synthetic: int


def choose_size(counts: dict[str, int]) -> Size:
    """Choose rows by the training rows of each class.

    All training rows, unless they are thousands and every class has at least a hundred.
    Synthetic rows: 250 a class or twice the training rows, whichever is more, in whole
    shards of 500, between 1,000 and 5,000.
    """
    total, smallest = sum(counts.values()), min(counts.values())
    per_class = min(smallest, ENOUGH // len(counts)) if total > ENOUGH and smallest >= 100 else None
    used = total if per_class is None else per_class * len(counts)
    wanted = max(FEWEST, min(MOST, max(PER_CLASS * len(counts), 2 * used)))
    return Size(per_class, -(-wanted // SHARD) * SHARD)


OTHERS = 90.0
"""Seconds of one core for all jobs that are not counted one by one."""


def seconds(study: Study, train_rows: int, test_rows: int, pieces: Sequence[int]) -> float:
    """Estimate the seconds of one core that a study of one dataset takes with the embedded models.

    Args:
        study: the study.
        train_rows: training rows that it uses.
        test_rows: test rows.
        pieces: subword pieces of some of its texts.
    """
    ((name, dataset),) = study.datasets.items()
    longer = sum(min(n, CUT) for n in pieces) / max(1, len(pieces)) / LENGTH
    made = dataset.synthetic + sampling_count(study, name) * (len(study.samplings) - 1)
    long = teacher_seconds(study, study.teacher, train_rows) + generator_seconds(study, study.generator, train_rows)
    long += SYNTHETIC_ROW * made + SCORED_ROW * (made + train_rows + test_rows + dataset.n_unlabelled)
    runs = planned_runs(study)
    if study.export.enabled:
        runs += export_candidates(study, name) * study.export.folds
    students = sum(student_seconds(study, run._asdict(), train_rows) for run in runs)
    return long * longer + students + OTHERS


def in_words(spent: float) -> str:
    """Say a duration roughly: ``about 20 minutes``, ``about 3 hours``."""
    minutes = spent / 60
    if minutes < 90:
        return f"about {max(5, round(minutes / 5) * 5)} minutes"
    return f"about {round(minutes / 60)} hours"
