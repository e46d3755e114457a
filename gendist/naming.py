"""Names of the compared systems (rows of the paper's tables), of their runs and variants, and of folders of results."""

from collections.abc import Container
from pathlib import PurePath
from typing import NamedTuple

BASELINES = ("tfidf-svm", "fasttext", "encoder-lr", "model2vec", "setfit")
UNSEEDED = ("tfidf-svm", "encoder-lr", "model2vec")
"""Deterministic baselines."""
TEACHER = "teacher"
REGIMES = ("scratch", "dist", "gendist", "synthetic", "hard", "unlabelled", "gendist-unlabelled")
WITH_TEACHER = REGIMES[1:]
"""Regimes that train on the teacher's logits."""
WITH_SYNTHETIC = ("gendist", "synthetic", "hard", "gendist-unlabelled")
"""Regimes that train on synthetic rows."""
WITH_UNLABELLED = ("unlabelled", "gendist-unlabelled")
"""Regimes that train on unlabelled real rows; only for datasets with such rows."""
WITH_GENERAL = ("gendist", *WITH_UNLABELLED)
"""Regimes that train on general text beside their own rows, if the student asks for it."""

EXPORTED_MODEL = "export/model"
"""Folder of the exported model, in the dataset's folder of the results."""


class System(NamedTuple):
    """A row of Table 1; ``student`` and ``regime`` are None for baselines and the teacher."""

    name: str
    student: str | None
    regime: str | None


def system_name(student: str, regime: str) -> str:
    """Return the name of a student's system: ``kim`` for scratch, ``kim+dist``, ``kim+gendist+unlabelled`` ..."""
    return student if regime == "scratch" else f"{student}+{regime.replace('-', '+')}"


def regime_of(system: str) -> str:
    """Return the regime in a system's name; empty for scratch, baselines and the teacher."""
    return system.partition("+")[2].replace("+", "-")


def student_of(system: str) -> str:
    """Return the student in the name of a student's system."""
    return system.partition("+")[0]


def parse_system(name: str, students: Container[str]) -> System:
    """Parse a system's name.

    Raises:
        ValueError: if it is not a baseline, the teacher, a student or student + regime.
    """
    if name in BASELINES or name == TEACHER:
        return System(name, None, None)
    student, regime = student_of(name), regime_of(name) or "scratch"
    if student in students and regime in REGIMES and system_name(student, regime) == name:
        return System(name, student, regime)
    known = ", ".join([*BASELINES, TEACHER, *(system_name("STUDENT", r) for r in REGIMES)])
    raise ValueError(f"system '{name}' is unknown; accepted: {known}, where STUDENT is an entry of students")


class Variant(NamedTuple):
    """The config entries in a variant's name; None where the regime does not depend on one."""

    teacher: str | None
    generator: str | None
    sampling: str | None
    training: str


def variant_name(regime: str, *, teacher: str, generator: str, sampling: str, training: str) -> str:
    """Join the entries that a regime depends on: ``default``, ``minilm.default`` or ``minilm.pocket.full.default``."""
    names = [training]
    if regime in WITH_SYNTHETIC:
        names = [generator, sampling, *names]
    if regime in WITH_TEACHER:
        names = [teacher, *names]
    return ".".join(names)


def parse_variant(name: str) -> Variant:
    """Parse the result of ``variant_name``.

    Raises:
        ValueError: if it does not have one, two or four parts.
    """
    match name.split("."):
        case [training]:
            return Variant(None, None, None, training)
        case [teacher, training]:
            return Variant(teacher, None, None, training)
        case [teacher, generator, sampling, training]:
            return Variant(teacher, generator, sampling, training)
    raise ValueError(
        f"variant '{name}' is unknown; accepted: TRAINING, TEACHER.TRAINING, TEACHER.GENERATOR.SAMPLING.TRAINING"
    )


class RunKey(NamedTuple):
    """Identifies one training of a student; the fields are the wildcards of its path."""

    dataset: str
    student: str
    regime: str
    variant: str
    n_synthetic: int
    """Synthetic rows; under the regime ``unlabelled``, unlabelled rows."""
    seed: int

    @property
    def system(self) -> str:
        """The row of Table 1 that the run belongs to."""
        return system_name(self.student, self.regime)

    @property
    def names(self) -> Variant:
        """The parsed variant."""
        return parse_variant(self.variant)

    @property
    def folder(self) -> PurePath:
        """The run's folder, relative to the folder of results."""
        run = ("students", self.student, self.regime, self.variant, f"n{self.n_synthetic}", f"seed{self.seed}")
        return PurePath(self.dataset, *run)

    @classmethod
    def from_folder(cls, folder: PurePath) -> "RunKey":
        """Parse the result of ``folder``; leading components are ignored.

        Raises:
            ValueError: if it is not the folder of a run.
        """
        match folder.parts:
            case [*_, dataset, "students", student, regime, variant, rows, seed] if rows[:1] == "n" and seed.startswith(
                "seed"
            ):
                return cls(dataset, student, regime, variant, int(rows[1:]), int(seed[4:]))
        raise ValueError(f"{folder}: not the folder of a run (DATASET/students/STUDENT/REGIME/VARIANT/nROWS/seedSEED)")
