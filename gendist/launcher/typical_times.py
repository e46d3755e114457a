"""Typical durations of jobs, from which a run's duration is estimated before any job has finished.

CPU seconds of the default study's jobs on one core of a shared AVX2 server, for texts of ``LENGTH`` subword pieces.
"""

import math
from collections.abc import Mapping
from typing import Any

from gendist.config.study import Study
from gendist.naming import WITH_GENERAL, parse_variant

LENGTH = 54.0
"""Mean subword pieces of the measured texts."""
TEACHER_STEP = 1.4
"""Seconds per step of the teacher's finetuning."""
GENERATOR_ROW = 0.2
"""Seconds per row and epoch of the generator's finetuning."""
SYNTHETIC_ROW = 0.09
"""Seconds per generated row."""
SCORED_ROW = 0.02
"""Seconds per row scored by the teacher."""
STUDENT = 2.0
"""Seconds per student for start and evaluation."""
STUDENT_STEPS = {"kim": 0.01, "res": 0.035, "blend": 0.14, "bilstm": 0.05, "bag": 0.006}
"""Seconds per training step of an architecture; ``OTHER_STEP`` for all others."""
OTHER_STEP = 0.03
TRAIN_ROWS, TEST_ROWS = 600, 1500
"""Assumed rows of a dataset whose files were not counted."""
LARGER_MODEL = 8.0
"""Slowdown of a model that is not embedded: an assumption, not a measurement."""
PROMPTED_MODEL = 40.0
"""Slowdown of a chat model that is prompted: an assumption, not a measurement."""
ANSWER = 3.0
"""Seconds until a server answers: an assumption."""
SECONDS = {
    "fit_setfit": 300.0,
    "distil_static": 60.0,
    "fit_encoder_lr": 15.0,
    "fit_fasttext": 6.0,
    "fit_model2vec": 6.0,
    "measure_student": 8.0,
    "measure_teacher": 12.0,
    "measure_baseline": 6.0,
    "measure_export": 6.0,
    "export_student": 8.0,
    "write_classifier_page": 6.0,
    "unpack_pocket": 6.0,
    "evaluate_teacher": 1.0,
    "write_table4": 8.0,
    "write_memorisation": 2.0,
    "find_repeats": 5.0,
    "assess_pool": 4.0,
    "draw_details": 6.0,
    "draw_tradeoff": 5.0,
    "draw_quality": 5.0,
}
"""Seconds of rules with a nearly constant duration."""
DEFAULT_SECONDS = 1.5
SHARDS_TOGETHER = 10
"""Shards per job with ``shards_together``."""


KINDS = {
    "distil_seeds": "distil_student",
    "cross_fit": "distil_student",
    "score_texts": "score_shard",
    "finetune_lora": "finetune_generator",
    "generate_shards": "generate_shard",
    "score_shards": "score_shard",
}
"""Rules that share their pace with another rule."""


def job_seconds(study: Study, rule: str, names: Mapping[str, str], rows: Mapping[str, int]) -> float:
    """Return the typical seconds of a job.

    Args:
        study: the study.
        rule: name of the job's rule.
        names: its wildcards.
        rows: number of training rows by dataset; assumed if missing.
    """
    train = rows.get(names.get("dataset", ""), TRAIN_ROWS)
    if rule in ("finetune_generator", "finetune_lora"):
        return generator_seconds(study, names["generator"], train)
    if rule == "finetune_teacher":
        return teacher_seconds(study, names["teacher"], train)
    shards = SHARDS_TOGETHER if rule in ("generate_shards", "score_shards") else 1
    if rule in ("generate_shard", "generate_shards"):
        larger = _slowdown(study.generators[names["generator"]].model != "pocket")
        return SYNTHETIC_ROW * study.shard_rows * shards * larger
    if rule == "prompt_shard":
        return SYNTHETIC_ROW * study.shard_rows * PROMPTED_MODEL
    if rule == "ask_shard":
        endpoint = study.generators[names["generator"]].endpoint
        return ANSWER * study.shard_rows / (endpoint.concurrency if endpoint else 1)
    if rule in ("score_shard", "score_shards", "score_texts"):
        scored = train + TEST_ROWS if rule == "score_texts" else study.shard_rows * shards
        scored = study.general_rows if names.get("split") == "general" else scored
        return SCORED_ROW * scored * _slowdown(study.teachers[names["teacher"]].model != "minilm")
    if rule in ("distil_student", "distil_seeds", "cross_fit"):
        times = {"distil_student": 1, "distil_seeds": len(study.joint_seeds), "cross_fit": study.export.folds}
        return student_seconds(study, names, train) * times[rule]
    return SECONDS.get(rule, DEFAULT_SECONDS)


def generator_seconds(study: Study, name: str, train_rows: int) -> float:
    """Return the typical seconds of a generator's finetuning."""
    generator = study.generators[name]
    passes = generator.epochs * generator.finetunes
    return GENERATOR_ROW * train_rows * passes * _slowdown(generator.model != "pocket")


def teacher_seconds(study: Study, name: str, train_rows: int) -> float:
    """Return the typical seconds of a teacher's finetuning."""
    teacher = study.teachers[name]
    steps = math.ceil(train_rows / teacher.batch_size)
    passes = teacher.epochs if teacher.max_steps is None else max(1, min(teacher.epochs, teacher.max_steps // steps))
    times = 1 + teacher.members * teacher.refit
    return TEACHER_STEP * steps * passes * times * _slowdown(teacher.model != "minilm")


def student_seconds(study: Study, names: Mapping[str, Any], train_rows: int) -> float:
    """Return the typical seconds of a student's training and test.

    Args:
        study: the study.
        names: ``dataset``, ``student``, ``regime``, ``variant`` and ``n_synthetic`` of its run.
        train_rows: training rows in use.
    """
    student = study.students[names["student"]]
    training = student.adjusted(study.trainings[parse_variant(names["variant"]).training])
    regime, more = names["regime"], int(names["n_synthetic"])
    if regime == "gendist-unlabelled":
        more += study.datasets[names["dataset"]].n_unlabelled
    if regime in WITH_GENERAL:
        more += student.general_rows
    fresh, size = (more if regime == "synthetic" else train_rows + more), training.batch_size
    if training.real_share is not None and regime != "synthetic" and more:  # real rows fill a share of every batch
        fresh, size = more, max(1, round(size * (1 - training.real_share)))
    steps = training.steps(math.ceil(fresh / size), 0 if regime == "synthetic" else train_rows)
    return STUDENT + steps * STUDENT_STEPS.get(student.architecture, OTHER_STEP)


def _slowdown(is_larger: bool) -> float:
    return LARGER_MODEL if is_larger else 1.0
