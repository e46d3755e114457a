"""Names of the compared systems (the rows of the paper's tables) and of their variants (components of paths)."""

from collections.abc import Container
from typing import NamedTuple

BASELINES = ("tfidf-svm", "fasttext", "encoder-lr", "model2vec", "setfit")
UNSEEDED = ("tfidf-svm", "encoder-lr", "model2vec")
"""Baselines in which nothing is random."""
TEACHER = "teacher"
REGIMES = ("scratch", "dist", "gendist", "synthetic", "hard", "unlabelled", "gendist-unlabelled")
WITH_TEACHER = REGIMES[1:]
"""Regimes that read the teacher's logits."""
WITH_SYNTHETIC = ("gendist", "synthetic", "hard", "gendist-unlabelled")
"""Regimes that read synthetic rows."""
WITH_UNLABELLED = ("unlabelled", "gendist-unlabelled")
"""Regimes that read real rows without labels; only for datasets that have such."""


class System(NamedTuple):
    """A row of Table 1; baselines and the teacher have neither student nor regime."""

    name: str
    student: str | None
    regime: str | None


def system_name(student: str, regime: str) -> str:
    """Return the row's name: ``kim`` for scratch, ``kim+dist``, ``kim+gendist+unlabelled`` and so on."""
    return student if regime == "scratch" else f"{student}+{regime.replace('-', '+')}"


def regime_of(system: str) -> str:
    """Return the regime in the name of a student's system; empty for scratch, baselines and the teacher."""
    return system.partition("+")[2].replace("+", "-")


class Run(NamedTuple):
    """One student run; the fields are the wildcards of its path.

    ``n_synthetic`` counts the synthetic rows, or, under the regime ``unlabelled``, the unlabelled rows.
    """

    dataset: str
    student: str
    regime: str
    variant: str
    n_synthetic: int
    seed: int

    @property
    def system(self) -> str:
        """The row of Table 1 that it belongs to."""
        return system_name(self.student, self.regime)


def parse_system(name: str, students: Container[str]) -> System:
    """Take a row's name apart.

    Raises:
        ValueError: if it is no baseline, student or student + regime.
    """
    if name in BASELINES or name == TEACHER:
        return System(name, None, None)
    student, regime = name.partition("+")[0], regime_of(name) or "scratch"
    if student in students and regime in REGIMES and system_name(student, regime) == name:
        return System(name, student, regime)
    known = ", ".join([*BASELINES, TEACHER, *(system_name("STUDENT", r) for r in REGIMES)])
    raise ValueError(f"system '{name}' is unknown; accepted: {known}, where STUDENT is an entry of students")


class Variant(NamedTuple):
    """What a path's variant names; None where the regime does not use it."""

    teacher: str | None
    generator: str | None
    sampling: str | None
    training: str


def variant_name(regime: str, teacher: str, generator: str, sampling: str, training: str) -> str:
    """Join the names that a regime depends on: ``default``, ``minilm.default`` or ``minilm.pocket.full.default``."""
    names = [training]
    if regime in WITH_SYNTHETIC:
        names = [generator, sampling, *names]
    if regime in WITH_TEACHER:
        names = [teacher, *names]
    return ".".join(names)


def parse_variant(name: str) -> Variant:
    """Take a variant's name apart again."""
    parts = name.split(".")
    if len(parts) == 1:
        return Variant(None, None, None, parts[0])
    if len(parts) == 2:
        return Variant(parts[0], None, None, parts[1])
    return Variant(parts[0], parts[1], parts[2], parts[3])
