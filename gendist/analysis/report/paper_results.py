"""Results reported in the paper, shown in columns marked PAPER.

Source: Melas-Kyriazi, Han, Liang: Generation-Distillation for Efficient Natural Language
Understanding in Low-Data Settings (2019), Tables 1 and 2. Accuracy in percent.
"""

from collections.abc import Mapping
from typing import NamedTuple


class PaperRow(NamedTuple):
    """A row of the paper's Table 1; parameters in thousands, None for N/A."""

    parameters: float | None
    accuracy: Mapping[str, float]


class PaperTable2(NamedTuple):
    """The paper's Table 2: mean and standard error over 5 restarts of the Kim student."""

    hard: float
    hard_error: float
    distilled: float
    distilled_error: float


def _row(parameters: float | None, ag_news: float, dbpedia: float, yahoo: float) -> PaperRow:
    return PaperRow(parameters, {"ag_news": ag_news, "dbpedia": dbpedia, "yahoo_answers": yahoo})


TABLE1: Mapping[str, PaperRow] = {
    "tfidf-svm": _row(18.1, 81.9, 94.1, 54.5),
    "fasttext": _row(None, 75.2, 91.0, 44.9),
    "teacher": _row(340_000, 89.9, 97.1, 67.0),  # BERT-Large
    "blend": _row(3617, 87.6, 94.6, 58.3),  # these two as reported by Chia et al. (2018)
    "blend+dist": _row(3617, 89.9, 96.0, 63.4),
    "kim": _row(1124, 85.7, 94.3, 62.4),
    "res": _row(1091, 86.2, 94.7, 60.9),
    "kim+dist": _row(1124, 86.9, 95.0, 62.9),
    "res+dist": _row(1091, 87.3, 95.4, 62.2),
    "kim+gendist": _row(1124, 89.9, 96.3, 64.2),
    "res+gendist": _row(1091, 89.8, 96.0, 65.0),
}

TABLE2: Mapping[str, PaperTable2] = {"yahoo_answers": PaperTable2(62.9, 0.22, 64.2, 0.13)}

DATASETS = ("ag_news", "dbpedia", "yahoo_answers")
