"""The quick study: the shortest way from a study's data to an exported classifier (``gendist run --quick``)."""

from collections.abc import Container

from gendist.config.generator_settings import Generator
from gendist.config.study import Study
from gendist.config.study_plan import export_candidates
from gendist.config.teacher_settings import Teacher
from gendist.naming import WITH_UNLABELLED, RunKey

TEACHER_EPOCHS, GENERATOR_EPOCHS = 2, 1
SYNTHETIC_ROWS, UNLABELLED_ROWS = 500, 1000
"""Upper limits that fit 400 labelled rows into a few minutes on two cores."""
SHARD_ROWS = 250
"""Rows of a shard: two cores generate at once."""


def quick_study(study: Study) -> Study:
    """Return the study of one student, one seed, one finetuned teacher and generator, in the same results folder.

    Entries with the names of ``study`` are equal to its own, so their files are shared. A teacher or generator with
    shorter training gets another name.

    Args:
        study: the full study.

    Returns:
        A study that exports a student with regime gendist, if ``study`` has one, and reports nothing.
    """
    system = _choose_system(study)
    student = study.students[system.student]
    teacher, generator = study.teachers[study.teacher], study.generators[study.generator]
    short_teacher, short_generator = _shorten_teacher(teacher), _shorten_generator(generator)
    same_generator = short_generator == generator
    datasets = {
        name: dataset.model_copy(
            update={
                "synthetic": min(dataset.synthetic, SYNTHETIC_ROWS),
                "unlabelled": dataset.unlabelled if system.regime in WITH_UNLABELLED else None,
                "unlabelled_rows": (
                    min(dataset.n_unlabelled, UNLABELLED_ROWS) if system.regime in WITH_UNLABELLED else None
                ),
            }
        )
        for name, dataset in study.datasets.items()
    }
    changed = {
        "datasets": datasets,
        "teachers": {_name(study.teacher, study.teachers, short_teacher == teacher): short_teacher},
        "generators": {_name(study.generator, study.generators, same_generator): short_generator},
        "samplings": {study.sampling: study.samplings[study.sampling]},
        "trainings": {study.training: study.trainings[study.training]},
        "students": {system.student: student},
        "systems": [system.system],
        "curve_student": system.student,
        "counts": [],
        "seeds": study.seed_list[:1],
        "shard_rows": study.shard_rows if same_generator else min(study.shard_rows, SHARD_ROWS),
        "shards_together": study.shards_together and same_generator,
        "export": study.export.model_copy(update={"enabled": True, "systems": [system.system]}),
    }
    kept = study.model_dump(mode="json", include={"device", "results"})
    dumped = {key: _dump(value) for key, value in changed.items()}
    return Study.model_validate({**kept, **dumped})


def _choose_system(study: Study) -> RunKey:
    """Choose a candidate of the study's export: one with general initial weights, Kim, and without unlabelled rows."""

    def rank(run: RunKey) -> tuple[bool, bool, bool]:
        student = study.students[run.student]
        return run.regime in WITH_UNLABELLED, student.init != "general", student.architecture != "kim"

    return min((run for name in study.datasets for run in export_candidates(study, name)), key=rank)


def _shorten_teacher(teacher: Teacher) -> Teacher:
    return teacher.model_copy(update={"epochs": min(teacher.epochs, TEACHER_EPOCHS), "refit": False, "members": 1})


def _shorten_generator(generator: Generator) -> Generator:
    if generator.rows is not None:
        return generator
    epochs = min(generator.epochs, GENERATOR_EPOCHS)
    changed = {"epochs": epochs, "finetunes": 1, "held_out": 0.0 if epochs < generator.epochs else generator.held_out}
    return generator.model_copy(update=changed)


def _name(name: str, taken: Container[str], is_same: bool) -> str:
    """Return a name for an entry: its own if its settings are, else a free one."""
    if is_same:
        return name
    found = f"{name[:58]}-quick"
    while found in taken:
        found += "-"
    return found


def _dump(value: object) -> object:
    """Return a config value as plain data."""
    if isinstance(value, dict):
        return {key: _dump(entry) for key, entry in value.items()}
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value
