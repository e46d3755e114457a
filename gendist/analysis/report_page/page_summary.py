"""Summary of the page: the best student, and the gain of generated rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gendist.analysis.report.gains_table import MAIN_VARIANT, REGIMES, UNLABELLED_REGIMES
from gendist.analysis.report.paired_test import paired_t_test
from gendist.analysis.report_page.report_inputs import CsvRow, parse_number
from gendist.analysis.report_page.system_legend import describe_system
from gendist.analysis.table_files import format_mean
from gendist.naming import TEACHER, system_name

GAIN_PREFIX = "gendist - dist "
"""Prefix of the columns of the gains table that compare gendist with dist."""


@dataclass(frozen=True)
class BestStudent:
    """The student system with the highest mean accuracy."""

    system: str
    student: str
    regime: str
    mean: float
    sd: float | None
    runs: int
    row: CsvRow
    """Row of the gains table."""

    @property
    def accuracy(self) -> str:
        """Accuracy in percent with its standard deviation."""
        return format_mean(self.mean, self.sd)


def best_student(
    gains: Sequence[CsvRow], regimes: Sequence[str] = (*REGIMES, *UNLABELLED_REGIMES)
) -> BestStudent | None:
    """Return the best student of the main variant; None without rows.

    Args:
        gains: rows of one dataset in the gains table.
        regimes: regimes to consider.
    """
    found = [
        BestStudent(
            system=system_name(row["student"], regime),
            student=row["student"],
            regime=regime,
            mean=mean,
            sd=parse_number(row[f"{regime} sd"]),
            runs=int(row[f"{regime} runs"]),
            row=row,
        )
        for row in gains
        if row["variant"] == MAIN_VARIANT
        for regime in regimes
        if (mean := parse_number(row.get(regime, ""))) is not None
    ]
    return max(found, key=lambda best: best.mean, default=None)


def key_figures(gains: Sequence[CsvRow], students: Mapping[str, Mapping[str, object]]) -> list[tuple[str, str, str]]:
    """Return the key figures of a dataset as (name, value, remark).

    Args:
        gains: rows of one dataset in the gains table.
        students: students of the config by name.
    """
    best = best_student(gains)
    if best is None:
        return []
    description = (
        f"{describe_system(best.system, students)}; highest mean accuracy of all students, {_format_seeds(best.runs)}"
    )
    figures = [("Best student", best.system, description)]
    figures.append(("Accuracy", f"{best.accuracy}\u00a0%", "of the test rows, mean ± standard deviation over seeds"))
    teacher = parse_number(best.row[TEACHER])
    if teacher:
        share = best.mean / teacher * 100
        figures.append(("Share of its teacher", f"{share:.1f}\u00a0%", f"the teacher gets {teacher:.1f}\u00a0% right"))
    gendist = best if best.regime == "gendist" else best_student(gains, ["gendist"])
    if gendist and (gain := parse_number(gendist.row[f"{GAIN_PREFIX}difference"])) is not None:
        remark = f"{gendist.system} against {system_name(gendist.student, 'dist')}; {_format_test(gendist.row)}"
        figures.append(("Gain over plain distillation", f"{gain:+.1f} points", remark))
    return figures


def summary_sentence(gains: Sequence[CsvRow]) -> str:
    """Summarise the result of a dataset in one or two sentences."""
    best = best_student(gains)
    if best is None:
        return "This study trained no student on this dataset."
    text = f"The best student, {best.system}, gets {best.accuracy}\u00a0% of the test rows right"
    teacher = parse_number(best.row[TEACHER])
    text += f", {best.mean / teacher * 100:.0f}\u00a0% of what its teacher reaches." if teacher else "."
    gendist = best if best.regime == "gendist" else best_student(gains, ["gendist"])
    if gendist is None:
        return f"{text} No student was trained on generated rows."
    if best.regime == "gendist-unlabelled":
        text += (
            f" It was trained on generated rows and on real rows without labels; without the latter, {gendist.system}"
            f" gets {gendist.accuracy}\u00a0%."
        )
    elif best.regime != "gendist":
        text += (
            f" Generated rows did not make the best one; with them, {gendist.system} gets {gendist.accuracy}\u00a0%."
        )
    gain, p = parse_number(gendist.row[f"{GAIN_PREFIX}difference"]), parse_number(gendist.row[f"{GAIN_PREFIX}p"])
    if gain is None:
        return f"{text} Without {system_name(gendist.student, 'dist')} the gain of generated rows is not known."
    plain = "the same student distilled on the real rows alone"
    if p is None:
        return f"{text} That is {gain:+.1f} points against {plain}; with so few seeds, no test was possible."
    if p >= 0.05:
        return f"{text} That is {gain:+.1f} points against {plain}, which may be chance ({_format_test(gendist.row)})."
    compared = f"{abs(gain):.1f} points {'more' if gain > 0 else 'less'} than {plain}"
    return f"{text} That is {compared} ({_format_test(gendist.row)})."


def sampling_note(rows: Sequence[CsvRow]) -> str | None:
    """Compare the study's main sampling strategy with the best one; None without a comparison.

    Args:
        rows: rows of one dataset in the sampling comparison, the main strategy first.
    """
    runs: dict[str, list[Any]] = {}
    for row in rows:
        runs.setdefault(row["sampling"], []).append({"seed": row["seed"], "accuracy": float(row["accuracy"]) / 100})
    if len(runs) < 2:
        return None
    means = {name: sum(run["accuracy"] for run in group) / len(group) * 100 for name, group in runs.items()}
    own, best = next(iter(means)), max(means, key=lambda name: means[name])
    if best == own:
        return f"The study's own strategy, {own}, is the best of them here."
    test = paired_t_test(runs[own], runs[best])
    chance = "" if test.p is None else f", {format_p_value(test.p)}"
    chance += ", which may be chance" if test.p is None or test.p >= 0.05 else ""
    return (
        f"The study's own strategy, {own} ({means[own]:.1f}\u00a0%), is not the best of them here: {best} has "
        f"{means[best]:.1f}\u00a0% ({means[best] - means[own]:+.1f} points{chance}). To use it, put it first under "
        "samplings in the config."
    )


def format_p_value(p: float | None) -> str:
    """Format a p-value."""
    return "no test" if p is None else "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _format_test(row: CsvRow) -> str:
    p = parse_number(row[f"{GAIN_PREFIX}p"])
    return (
        "no test"
        if p is None
        else f"paired t-test over {_format_seeds(int(row[f'{GAIN_PREFIX}pairs']))}, {format_p_value(p)}"
    )


def _format_seeds(count: int) -> str:
    return f"{count} seed{'s' if count != 1 else ''}"
