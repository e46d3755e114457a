"""What each step brings: from scratch, distilled, generation-distilled, against the teacher."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gendist.analysis.metrics_table import Run, Summary, choose, read_runs, rounded, summarise
from gendist.analysis.report.paired import Paired, paired
from gendist.analysis.table_files import NONE, Cell, markdown_table, mean_and_spread, seeds_phrase, write_csv
from gendist.errors import GendistError
from gendist.io import escape
from gendist.io.atomic_files import write_text
from gendist.naming import TEACHER, WITH_UNLABELLED, system_name

REGIMES = ("scratch", "dist", "gendist")
GAINS = (("scratch", "dist"), ("dist", "gendist"))
"""Pairs of regimes that are compared, the weaker expected first."""
FURTHER = WITH_UNLABELLED
FURTHER_GAINS = (("dist", "unlabelled"), ("gendist", "gendist-unlabelled"), ("unlabelled", "gendist-unlabelled"))
"""The same, in further columns, where a study has runs with unlabelled rows."""
MAIN = "main"
"""Name of the lines that differ in nothing from the study's first entries."""


@dataclass(frozen=True)
class _Line:
    """One student on one dataset under one variant."""

    dataset: str
    student: str
    variant: str
    count: int
    accuracy: Mapping[str, Summary | None]
    """By the teacher and the regimes."""
    gains: Mapping[tuple[str, str], Paired]
    """By ``GAINS`` and ``FURTHER_GAINS``."""

    @property
    def share(self) -> float | None:
        """Accuracy of gendist in percent of the teacher's."""
        student, teacher = self.accuracy["gendist"], self.accuracy[TEACHER]
        return student.mean / teacher.mean * 100 if student and teacher and teacher.mean > 0 else None


def write_gains(
    metrics: Path,
    students: Sequence[str],
    counts: Mapping[str, int],
    main: Mapping[str, str],
    variants: Mapping[str, Sequence[str]],
    out_csv: Path,
    out_md: Path,
) -> None:
    """Write the accuracies of each student's regimes in percent, and the differences between them.

    A line of a variant stands where it has gendist runs; its other systems are those of the same
    teacher and training, and empty where the study has none. So is everything else that is missing.

    Args:
        metrics: the tidy table.
        students: students in order.
        counts: datasets in order, each with the synthetic rows of gendist.
        main: names of the main teacher, generator, sampling and training.
        variants: the other names of each of these kinds.
        out_csv: all numbers.
        out_md: the table in Markdown.

    Raises:
        GendistError: if no student has any run.
    """
    runs = read_runs(metrics)
    named = {MAIN: main} | {f"{kind} {name}": {**main, kind: name} for kind in variants for name in variants[kind]}
    lines = []
    for dataset, count in counts.items():
        for student in students:
            for variant, names in named.items():
                line = _line(runs, dataset, student, variant, names, count)
                needed = (*REGIMES, *FURTHER) if variant == MAIN else ("gendist",)
                if any(line.accuracy[regime] for regime in needed):
                    lines.append(line)
    if not lines:
        raise GendistError(f"{metrics}: no run of {', '.join(students)} on {', '.join(counts)}")
    further = any(line.accuracy[regime] for line in lines for regime in FURTHER)
    rows = [_cells(line) | (_further_cells(line) if further else {}) for line in lines]
    write_csv(out_csv, list(rows[0]), [list(row.values()) for row in rows])
    write_text(out_md, _markdown(lines, further))


def _line(runs: Sequence[Run], dataset: str, student: str, variant: str, names: Mapping[str, str], count: int) -> _Line:
    regimes = (*REGIMES, *FURTHER)
    chosen = {regime: choose(runs, dataset, system_name(student, regime), names, count) for regime in regimes}
    gains = {(first, second): paired(chosen[first], chosen[second]) for first, second in (*GAINS, *FURTHER_GAINS)}
    chosen[TEACHER] = choose(runs, dataset, TEACHER, names)
    accuracy = {system: summarise(of_system) for system, of_system in chosen.items()}
    return _Line(dataset, student, variant, count, accuracy, gains)


def _cells(line: _Line) -> dict[str, Cell]:
    row: dict[str, Cell] = {
        "dataset": line.dataset,
        "student": line.student,
        "variant": line.variant,
        "n_synthetic": line.count,
    }
    row |= _scores(line, (TEACHER, *REGIMES)) | _differences(line, GAINS)
    return row | {"gendist share of teacher": rounded(line.share)}


def _further_cells(line: _Line) -> dict[str, Cell]:
    return _scores(line, FURTHER) | _differences(line, FURTHER_GAINS)


def _scores(line: _Line, systems: Sequence[str]) -> dict[str, Cell]:
    row: dict[str, Cell] = {}
    for system in systems:
        summary = line.accuracy[system]
        row[system] = rounded(summary.mean if summary else None)
        row[f"{system} sd"] = rounded(summary.sd if summary else None)
        row[f"{system} runs"] = summary.runs if summary else 0
    return row


def _differences(line: _Line, pairs: Sequence[tuple[str, str]]) -> dict[str, Cell]:
    row: dict[str, Cell] = {}
    for first, second in pairs:
        row |= line.gains[first, second].cells(f"{second} - {first} ")
    return row


def _markdown(lines: Sequence[_Line], further: bool) -> str:
    systems = (TEACHER, *REGIMES, *(FURTHER if further else ()))
    pairs = (*GAINS, *(FURTHER_GAINS if further else ()))
    header = ["Dataset", "Student", "Variant", "synthetic rows", *(f"{system}, %" for system in systems)]
    header += [f"{second} - {first}" for first, second in pairs] + ["gendist / teacher, %"]
    cells = []
    for line in lines:
        summaries = [line.accuracy[system] for system in systems]
        cells.append(
            [
                *(escape.markdown(name) for name in (line.dataset, line.student, line.variant)),
                f"{line.count:,}",
                *(mean_and_spread(s.mean, s.sd) if s else NONE for s in summaries),
                *(_gain(line.gains[pair]) for pair in pairs),
                NONE if line.share is None else f"{line.share:.1f}",
            ]
        )
    seeds = seeds_phrase(s.runs for line in lines for regime in systems[1:] if (s := line.accuracy[regime]))
    caption = (
        "What distillation (dist) brings a student over training from scratch, and generated rows (gendist) over"
        f" distillation. Accuracy on the test rows in percent, mean ± standard deviation over {seeds} (single runs"
        " have no ±); differences in points, with a two-sided paired t-test over the n seeds that both have, not"
        " corrected for the number of tests; last, gendist in percent of the teacher's accuracy."
    )
    if further:
        caption += " Unlabelled: with real rows without labels; gendist-unlabelled: with these and generated rows."
    if any(line.variant != MAIN for line in lines):
        caption += (
            " Variant names what differs from the main teacher, generator and training; scratch, dist and teacher"
            " of such a line are of the same teacher and training, where the study has them."
        )
    return f"**Gains.** {escape.markdown(caption)}\n\n{markdown_table(header, cells, right=range(3, len(header)))}"


def _gain(gain: Paired) -> str:
    if gain.difference is None:
        return NONE
    return f"{gain.difference:+.1f}" + ("" if gain.p is None else f" (p = {gain.p:.2g}, n = {gain.pairs})")
