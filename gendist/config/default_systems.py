"""The rows of Table 1 that a study compares by default."""

from collections.abc import Mapping
from typing import Any

from gendist.naming import student_of

PAPER_SYSTEMS = (
    "tfidf-svm",
    "fasttext",
    "teacher",
    "blend",
    "blend+dist",
    "kim",
    "res",
    "kim+dist",
    "res+dist",
    "kim+gendist",
    "res+gendist",
)
"""The rows of the paper's Table 1, in its order."""

GENERAL_SYSTEMS = (
    "kim-general",
    "res-general",
    "kim-general+dist",
    "res-general+dist",
    "kim-general+gendist",
    "res-general+gendist",
)
"""Default rows of Table 1 after the paper's: students initialised by general distillation."""

UNLABELLED_SYSTEMS = (
    "kim+unlabelled",
    "res+unlabelled",
    "kim-general+unlabelled",
    "kim+gendist+unlabelled",
    "res+gendist+unlabelled",
    "kim-general+gendist+unlabelled",
)
"""Default rows of Table 1 if a dataset has unlabelled rows."""


def default_systems(content: Mapping[str, Any]) -> list[str]:
    """Return the default rows of Table 1 that the students and datasets of a config allow.

    Args:
        content: keys of the study, not yet validated.
    """
    datasets, students = content.get("datasets"), content.get("students")
    entries = datasets.values() if isinstance(datasets, Mapping) else ()
    with_unlabelled = any(_value(entry, "unlabelled") is not None for entry in entries)
    extra = [*GENERAL_SYSTEMS, *(UNLABELLED_SYSTEMS if with_unlabelled else ())]
    if isinstance(students, Mapping):
        extra = [name for name in extra if student_of(name) in (*students, "kim", "res")]
    return [*PAPER_SYSTEMS, *extra]


def _value(entry: Any, key: str) -> Any:
    """Return a value of an entry, which is a mapping or a model."""
    return entry.get(key) if isinstance(entry, Mapping) else getattr(entry, key, None)
