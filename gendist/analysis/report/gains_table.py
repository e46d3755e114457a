"""Gains table: accuracy from scratch, distilled and generation-distilled, with paired tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gendist.analysis.metrics_table import MetricsRow, Summary, read_runs, round_score, select_runs, summarise
from gendist.analysis.report.paired_test import PairedTest, paired_t_test
from gendist.analysis.table_files import MISSING, Cell, format_mean, format_seeds, markdown_table, write_csv
from gendist.errors import GendistError
from gendist.io import escape
from gendist.io.atomic_files import write_text
from gendist.naming import TEACHER, WITH_UNLABELLED, system_name

REGIMES = ("scratch", "dist", "gendist")
GAINS = (("scratch", "dist"), ("dist", "gendist"))
"""Compared pairs of regimes, baseline first."""
UNLABELLED_REGIMES = WITH_UNLABELLED
UNLABELLED_GAINS = (("dist", "unlabelled"), ("gendist", "gendist-unlabelled"), ("unlabelled", "gendist-unlabelled"))
"""Additional pairs, if the study has runs with unlabelled rows."""
MAIN_VARIANT = "main"
"""Variant of the main teacher, generator, sampling and training."""


@dataclass(frozen=True)
class _GainsRow:
    """One student on one dataset under one variant."""

    dataset: str
    student: str
    variant: str
    count: int
    accuracy: Mapping[str, Summary | None]
    """By regime and for the teacher."""
    gains: Mapping[tuple[str, str], PairedTest]
    """By pair of ``GAINS`` and ``UNLABELLED_GAINS``."""

    @property
    def share(self) -> float | None:
        """Accuracy of gendist in percent of the teacher's."""
        student, teacher = self.accuracy["gendist"], self.accuracy[TEACHER]
        return student.mean / teacher.mean * 100 if student and teacher and teacher.mean > 0 else None


def write_gains(
    metrics: Path,
    *,
    students: Sequence[str],
    counts: Mapping[str, int],
    main: Mapping[str, str],
    variants: Mapping[str, Sequence[str]],
    out_csv: Path,
    out_md: Path,
) -> None:
    """Write the accuracy of each student's regimes in percent, and their differences.

    A variant has a row if it has gendist runs; its other regimes use the same teacher and training. Missing values are
    empty.

    Args:
        metrics: ``metrics.parquet``.
        students: students, in order.
        counts: synthetic rows of gendist by dataset, in order.
        main: names of the main teacher, generator, sampling and training.
        variants: other names by kind.
        out_csv: all numbers.
        out_md: formatted table.

    Raises:
        GendistError: if no student has a run.
    """
    runs = read_runs(metrics)
    names_by_variant = {MAIN_VARIANT: main} | {
        f"{kind} {name}": {**main, kind: name} for kind in variants for name in variants[kind]
    }
    lines = []
    for dataset, count in counts.items():
        for student in students:
            for variant, names in names_by_variant.items():
                line = _gains_row(runs, dataset=dataset, student=student, variant=variant, names=names, count=count)
                required = (*REGIMES, *UNLABELLED_REGIMES) if variant == MAIN_VARIANT else ("gendist",)
                if any(line.accuracy[regime] for regime in required):
                    lines.append(line)
    if not lines:
        raise GendistError(f"{metrics}: no run of {', '.join(students)} on {', '.join(counts)}")
    with_unlabelled = any(line.accuracy[regime] for line in lines for regime in UNLABELLED_REGIMES)
    rows = [_cells(line) | (_unlabelled_cells(line) if with_unlabelled else {}) for line in lines]
    write_csv(out_csv, list(rows[0]), [list(row.values()) for row in rows])
    write_text(out_md, _markdown(lines, with_unlabelled))


def _gains_row(
    runs: Sequence[MetricsRow], *, dataset: str, student: str, variant: str, names: Mapping[str, str], count: int
) -> _GainsRow:
    regimes = (*REGIMES, *UNLABELLED_REGIMES)
    selected = {
        regime: select_runs(runs, dataset, system_name(student, regime), main=names, count=count) for regime in regimes
    }
    gains = {
        (first, second): paired_t_test(selected[first], selected[second])
        for first, second in (*GAINS, *UNLABELLED_GAINS)
    }
    selected[TEACHER] = select_runs(runs, dataset, TEACHER, main=names)
    accuracy = {system: summarise(system_runs) for system, system_runs in selected.items()}
    return _GainsRow(dataset=dataset, student=student, variant=variant, count=count, accuracy=accuracy, gains=gains)


def _cells(line: _GainsRow) -> dict[str, Cell]:
    row: dict[str, Cell] = {
        "dataset": line.dataset,
        "student": line.student,
        "variant": line.variant,
        "n_synthetic": line.count,
    }
    row |= _scores(line, (TEACHER, *REGIMES)) | _differences(line, GAINS)
    return row | {"gendist share of teacher": round_score(line.share)}


def _unlabelled_cells(line: _GainsRow) -> dict[str, Cell]:
    return _scores(line, UNLABELLED_REGIMES) | _differences(line, UNLABELLED_GAINS)


def _scores(line: _GainsRow, systems: Sequence[str]) -> dict[str, Cell]:
    row: dict[str, Cell] = {}
    for system in systems:
        summary = line.accuracy[system]
        row[system] = round_score(summary.mean if summary else None)
        row[f"{system} sd"] = round_score(summary.sd if summary else None)
        row[f"{system} runs"] = summary.runs if summary else 0
    return row


def _differences(line: _GainsRow, pairs: Sequence[tuple[str, str]]) -> dict[str, Cell]:
    row: dict[str, Cell] = {}
    for first, second in pairs:
        row |= line.gains[first, second].cells(f"{second} - {first} ")
    return row


def _markdown(lines: Sequence[_GainsRow], with_unlabelled: bool) -> str:
    systems = (TEACHER, *REGIMES, *(UNLABELLED_REGIMES if with_unlabelled else ()))
    pairs = (*GAINS, *(UNLABELLED_GAINS if with_unlabelled else ()))
    header = ["Dataset", "Student", "Variant", "synthetic rows", *(f"{system}, %" for system in systems)]
    header += [f"{second} - {first}" for first, second in pairs] + ["gendist / teacher, %"]
    cells = []
    for line in lines:
        summaries = [line.accuracy[system] for system in systems]
        cells.append(
            [
                *(escape.markdown(name) for name in (line.dataset, line.student, line.variant)),
                f"{line.count:,}",
                *(format_mean(s.mean, s.sd) if s else MISSING for s in summaries),
                *(_format_gain(line.gains[pair]) for pair in pairs),
                MISSING if line.share is None else f"{line.share:.1f}",
            ]
        )
    seeds = format_seeds(s.runs for line in lines for regime in systems[1:] if (s := line.accuracy[regime]))
    caption = (
        "What distillation (dist) brings a student over training from scratch, and generated rows (gendist) over"
        f" distillation. Accuracy on the test rows in percent, mean ± standard deviation over {seeds} (single runs"
        " have no ±); differences in points, with a two-sided paired t-test over the n seeds that both have, not"
        " corrected for the number of tests; last, gendist in percent of the teacher's accuracy."
    )
    if with_unlabelled:
        caption += " Unlabelled: with real rows without labels; gendist-unlabelled: with these and generated rows."
    if any(line.variant != MAIN_VARIANT for line in lines):
        caption += (
            " Variant names what differs from the main teacher, generator and training; scratch, dist and teacher"
            " of such a line are of the same teacher and training, where the study has them."
        )
    return (
        f"**Gains.** {escape.markdown(caption)}\n\n{markdown_table(header, cells, align_right=range(3, len(header)))}"
    )


def _format_gain(gain: PairedTest) -> str:
    if gain.difference is None:
        return MISSING
    return f"{gain.difference:+.1f}" + ("" if gain.p is None else f" (p = {gain.p:.2g}, n = {gain.pairs})")
