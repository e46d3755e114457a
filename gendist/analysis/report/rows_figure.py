"""Figure: accuracy against generated rows, unlabelled rows, and both."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from matplotlib.axes import Axes

from gendist.analysis.figure_style import BLUE, GREY, SKY, make_panels, save_figure, shared_legend, style_context
from gendist.analysis.metrics_table import MetricsRow, Summary, read_runs, round_score, select_runs, summarise
from gendist.analysis.report.figure2 import draw_curve, draw_levels, set_count_axis
from gendist.analysis.table_files import write_plot_data
from gendist.errors import GendistError
from gendist.io.provenance import Provenance
from gendist.naming import TEACHER, system_name

SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("system", pa.string()),
        ("n_synthetic", pa.int64()),
        ("n_unlabelled", pa.int64()),
        ("runs", pa.int64()),
        ("accuracy", pa.float64()),
        ("sd", pa.float64()),
        ("equal_unlabelled", pa.float64()),
        ("is_lower_bound", pa.bool_()),
    ]
)
"""The plotted data. accuracy and sd in percent; numbers of rows are null for the horizontal lines.
``equal_unlabelled``: number of unlabelled rows with the accuracy of these generated rows, or the largest number if
none reaches it (``is_lower_bound``)."""

REGIME_STYLES = {
    "gendist": ("generated rows", BLUE, "o"),
    "unlabelled": ("unlabelled rows", SKY, "s"),
    "gendist-unlabelled": ("generated rows beside all unlabelled ones", GREY, "^"),
}
"""Label, colour and marker of each curve, by regime."""

Curves = Mapping[str, Mapping[int, Summary]]
"""Accuracy by number of rows, ascending, by regime."""


def draw_rows(
    metrics: Path,
    *,
    student: str,
    counts: Mapping[str, Mapping[str, Sequence[int]]],
    main: Mapping[str, str],
    out_svg: Path,
    out_png: Path,
    out_csv: Path,
) -> None:
    """Plot a student's accuracy (mean and standard deviation over seeds) against additional rows, a panel per dataset.

    Args:
        metrics: ``metrics.parquet``.
        student: name of the student.
        counts: numbers of rows to plot, by dataset and regime.
        main: names of teacher, generator, sampling and training.
        out_svg: the figure.
        out_png: the figure.
        out_csv: the plotted data.

    Raises:
        GendistError: if no dataset has a run with unlabelled rows.
    """
    runs = read_runs(metrics)
    rows, shown = [], []
    for dataset, wanted in counts.items():
        curves = {
            regime: _curve(runs, dataset=dataset, student=student, regime=regime, main=main, counts=wanted[regime])
            for regime in REGIME_STYLES
        }
        if not curves["unlabelled"]:
            continue
        found = {name: summarise(select_runs(runs, dataset, name, main=main)) for name in (TEACHER, f"{student}+dist")}
        levels = {name: level for name, level in found.items() if level}
        shown.append((dataset, curves, levels))
        rows += _records(dataset, student, curves, levels)
    if not shown:
        raise GendistError(f"{metrics}: no run of {student}+unlabelled on {', '.join(counts)}")
    with style_context():
        figure, axes = make_panels(len(shown), height=3.8)
        for panel, (dataset, curves, levels) in zip(axes, shown, strict=True):
            draw_panel(panel, curves, levels)
            equivalent = [row for row in rows if row["dataset"] == dataset and row["equal_unlabelled"] is not None]
            panel.set_title(f"{dataset}\n{format_equivalence(equivalent[-1])}" if equivalent else dataset)
        axes[0].set_ylabel("test accuracy (%)")
        shared_legend(figure, axes)
        save_figure(figure, out_svg, out_png)
    write_plot_data(out_csv, pa.Table.from_pylist(rows, schema=SCHEMA), Provenance("report"))


def draw_panel(panel: Axes, curves: Curves, levels: Mapping[str, Summary]) -> None:
    """Draw the curves of one dataset, and lines for the teacher and the student without additional rows."""
    for regime, (label, color, marker) in REGIME_STYLES.items():
        if curves.get(regime):
            draw_curve(panel, curves[regime], label=label, color=color, marker=marker)
    draw_levels(panel, levels)
    set_count_axis(panel, sorted({count for curve in curves.values() for count in curve}))
    panel.set_xlabel("rows beside the labelled ones")
    panel.margins(y=0.12)


def format_equivalence(row: Mapping[str, int | float | str | bool | None]) -> str:
    """Format an equivalence, such as '500 generated ≈ 210 unlabelled'."""
    sign = "≥" if row["is_lower_bound"] else "≈"
    return f"{row['n_synthetic']:,} generated {sign} {row['equal_unlabelled']:,.0f} unlabelled"


def equivalent_rows(accuracy: float, curve: Mapping[int, float]) -> tuple[float, bool]:
    """Return the number of rows at which a curve first reaches an accuracy, by linear interpolation.

    Uses the running maximum of the curve.

    Args:
        accuracy: the accuracy.
        curve: accuracy by number of rows, ascending, starting at 0 rows.

    Returns:
        The number of rows, and whether it is a lower bound: the last count, if the curve stays below.
    """
    before, best = next(iter(curve.items()))
    if accuracy <= best:
        return float(before), False
    for count, level in curve.items():
        if level >= accuracy:
            return before + (count - before) * (accuracy - best) / (level - best), False
        before, best = count, max(best, level)
    return float(before), True


def _curve(
    runs: Sequence[MetricsRow],
    *,
    dataset: str,
    student: str,
    regime: str,
    main: Mapping[str, str],
    counts: Sequence[int],
) -> dict[int, Summary]:
    system = system_name(student, regime)
    found = {}
    for count in sorted(counts):
        rows = {"unlabelled": count} if regime == "unlabelled" else {"count": count}
        if summary := summarise(select_runs(runs, dataset, system, main=main, **rows)):
            found[count] = summary
    return found


def _records(
    dataset: str, student: str, curves: Curves, levels: Mapping[str, Summary]
) -> list[dict[str, str | int | float | bool | None]]:
    """Return the plotted data of one dataset."""
    all_unlabelled = max(curves["unlabelled"])
    nothing = levels.get(f"{student}+dist")
    real = {} if nothing is None else {0: nothing.mean} | {n: s.mean for n, s in curves["unlabelled"].items()}
    records: list[dict[str, str | int | float | bool | None]] = []
    for regime, curve in curves.items():
        for count, summary in curve.items():
            record = _record(dataset, system_name(student, regime), summary)
            record["n_synthetic"] = 0 if regime == "unlabelled" else count
            unlabelled = {"gendist": 0, "unlabelled": count}
            record["n_unlabelled"] = unlabelled.get(regime, all_unlabelled)
            if regime == "gendist" and real:
                rows, is_bound = equivalent_rows(summary.mean, real)
                record |= {"equal_unlabelled": round(rows, 1), "is_lower_bound": is_bound}
            records.append(record)
    return records + [_record(dataset, name, level) for name, level in levels.items()]


def _record(dataset: str, system: str, summary: Summary) -> dict[str, str | int | float | bool | None]:
    scores = {"runs": summary.runs, "accuracy": round_score(summary.mean), "sd": round_score(summary.sd)}
    return dict.fromkeys(SCHEMA.names) | {"dataset": dataset, "system": system} | scores
