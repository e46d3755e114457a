"""Descriptions of the systems' names."""

from collections.abc import Iterable, Mapping

from gendist.analysis.report_page.report_inputs import PageTable
from gendist.naming import BASELINES, TEACHER, regime_of, student_of

ARCHITECTURE_DESCRIPTIONS = {
    "kim": "small convolutional network of one layer (Kim 2014)",
    "res": "small convolutional network of three layers (with residual connections)",
    "blend": "small convolutional network of eight layers (BlendCNN)",
    "bilstm": "small recurrent network (bidirectional LSTM)",
    "bag": "small network over the mean of a text's word pieces",
}
"""By architecture of the student."""
REGIME_DESCRIPTIONS = {
    "scratch": "trained on the labelled texts alone, without the teacher",
    "dist": "trained to give the teacher's scores, on the labelled texts",
    "gendist": "trained to give the teacher's scores, on the labelled texts and on generated ones",
    "synthetic": "trained to give the teacher's scores, on generated texts alone",
    "hard": "trained on the labelled texts and on generated ones with the teacher's first choice as their label",
    "unlabelled": "trained to give the teacher's scores, on the labelled texts and on real texts without labels",
    "gendist-unlabelled": "trained to give the teacher's scores, on labelled, generated, and real texts without labels",
}
"""By regime."""
BASELINE_DESCRIPTIONS = {
    TEACHER: "large pretrained language model, finetuned on the labelled texts; the students learn from it",
    "tfidf-svm": "word counts (TF-IDF) with a linear classifier, on the labelled texts: the classic without a network",
    "fasttext": "mean of word and n-gram vectors (fastText), on the labelled texts",
    "encoder-lr": "pretrained sentence encoder as it is, with logistic regression on the labelled texts",
    "model2vec": "static word vectors distilled from a sentence encoder, with a classifier on the labelled texts",
    "setfit": "sentence encoder finetuned on pairs of labelled texts (SetFit)",
}
"""The teacher and the baselines."""


def describe_system(system: str, students: Mapping[str, Mapping[str, object]]) -> str:
    """Describe a system.

    Args:
        system: name of the system in Table 1.
        students: students of the config by name, for their architectures.
    """
    if system == TEACHER or system in BASELINES:
        return BASELINE_DESCRIPTIONS[system]
    student = student_of(system)
    architecture = str(students.get(student, {}).get("architecture", student))
    network = ARCHITECTURE_DESCRIPTIONS.get(architecture, f"small network '{architecture}'")
    return f"{network}, {REGIME_DESCRIPTIONS[regime_of(system) or 'scratch']}"


def legend_table(systems: Iterable[str], students: Mapping[str, Mapping[str, object]]) -> PageTable:
    """Return the table of system descriptions."""
    return PageTable(["name", "what it is"], [[name, describe_system(name, students)] for name in systems])
