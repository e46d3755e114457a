"""How large a study of somebody's rows should be, and about how long it will take."""

from collections.abc import Sequence
from dataclasses import dataclass

from gendist.config import Study
from gendist.config.plan import planned_runs, sampling_count
from gendist.own_data.checks import CUT

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


LENGTH = 54.0
"""Mean pieces of the texts on which the times below were taken."""
TEACHER_STEP = 0.6
GENERATOR_ROW = 0.03
SYNTHETIC_ROW = 0.09
SCORED_ROW = 0.015
STUDENT = 12.0
OTHERS = 90.0
"""Seconds of one core: a step of the teacher, a row in a pass of the generator, a row written, a row
scored, a student run, and everything else; the default study on one core of a laptop of 2023."""


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
    teacher, generator = study.teachers[study.teacher], study.generators[study.generator]
    steps = max(1, train_rows // teacher.batch_size)
    taken = min(teacher.epochs * steps, max(teacher.max_steps or teacher.epochs * steps, steps))
    made = dataset.synthetic + sampling_count(study, name) * (len(study.samplings) - 1)
    long = TEACHER_STEP * taken * (1 + teacher.members * teacher.refit) + GENERATOR_ROW * train_rows * generator.epochs
    long += SYNTHETIC_ROW * made + SCORED_ROW * (made + train_rows + test_rows + dataset.n_unlabelled)
    return long * longer + STUDENT * len(planned_runs(study)) + OTHERS


def in_words(spent: float) -> str:
    """Say a duration roughly: ``about 20 minutes``, ``about 3 hours``."""
    minutes = spent / 60
    if minutes < 90:
        return f"about {max(5, round(minutes / 5) * 5)} minutes"
    return f"about {round(minutes / 60)} hours"
