"""Figure 2: accuracy against the number of generated rows (paper, Figure 2)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from gendist.analysis.figure_style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    make_panels,
    save_figure,
    shared_legend,
    style_context,
)
from gendist.analysis.metrics_table import (
    MetricsRow,
    Summary,
    hash_scores,
    read_runs,
    round_score,
    select_runs,
    summarise,
)
from gendist.analysis.table_files import format_seeds, write_plot_data
from gendist.errors import GendistError
from gendist.io.provenance import Provenance
from gendist.naming import TEACHER, regime_of

SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("system", pa.string()),
        ("n_synthetic", pa.int64()),
        ("runs", pa.int64()),
        ("accuracy", pa.float64()),
        ("sd", pa.float64()),
    ]
)
"""The plotted data. accuracy and sd in percent; n_synthetic is null for the horizontal lines."""


def draw_figure2(
    metrics: Path,
    *,
    student: str,
    counts: Mapping[str, Sequence[int]],
    main: Mapping[str, str],
    out_svg: Path,
    out_png: Path,
    out_csv: Path,
    out_parquet: Path,
) -> None:
    """Plot the accuracy of ``{student}+synthetic`` (mean and standard deviation over seeds), a panel per dataset.

    Horizontal lines show the teacher, ``{student}+dist``, and ``{student}+gendist`` with the most generated rows, if
    they have runs.

    Args:
        metrics: ``metrics.parquet``.
        student: name of the student.
        counts: numbers of synthetic rows to plot, by dataset.
        main: names of teacher, generator, sampling and training.
        out_svg: the figure.
        out_png: the figure.
        out_csv: the plotted data.
        out_parquet: the plotted data, with provenance.

    Raises:
        GendistError: if no dataset has a run of ``{student}+synthetic``.
    """
    runs = read_runs(metrics)
    system = f"{student}+synthetic"
    curves = {
        dataset: _curve(runs, dataset=dataset, system=system, main=main, counts=wanted)
        for dataset, wanted in counts.items()
    }
    curves = {dataset: curve for dataset, curve in curves.items() if curve}
    if not curves:
        raise GendistError(f"{metrics}: no run of {system} on {', '.join(counts)}")
    lines = (TEACHER, f"{student}+gendist", f"{student}+dist")
    seeds = format_seeds(summary.runs for curve in curves.values() for summary in curve.values())
    curve_label = f"{system} (generated rows only): mean ± standard deviation, {seeds}"
    rows = []
    with style_context():
        figure, axes = make_panels(len(curves))
        for panel, (dataset, curve) in zip(axes, curves.items(), strict=True):
            draw_curve(panel, curve, label=curve_label)
            rows += [_record(dataset, system, n, summary) for n, summary in curve.items()]
            found = {
                name: summarise(select_runs(runs, dataset, name, main=main, count=max(counts[dataset])))
                for name in lines
            }
            levels = {name: level for name, level in found.items() if level}
            draw_levels(panel, levels)
            rows += [_record(dataset, name, None, level) for name, level in levels.items()]
            panel.set_title(dataset)
            panel.set_xlabel("generated rows")
            panel.margins(y=0.12)
        axes[0].set_ylabel("test accuracy (%)")
        shared_legend(figure, axes)
        save_figure(figure, out_svg, out_png)
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    for out in (out_csv, out_parquet):
        write_plot_data(out, table, Provenance("report", inputs={"metrics": hash_scores(runs)}))


def _curve(
    runs: Sequence[MetricsRow], *, dataset: str, system: str, main: Mapping[str, str], counts: Sequence[int]
) -> dict[int, Summary]:
    summaries = {
        count: summarise(select_runs(runs, dataset, system, main=main, count=count)) for count in sorted(counts)
    }
    return {count: summary for count, summary in summaries.items() if summary}


def draw_levels(panel: Axes, levels: Mapping[str, Summary]) -> None:
    """Draw a horizontal line for the teacher, and for students trained on real rows or on all rows."""
    for name, level in levels.items():
        if name == TEACHER:
            panel.axhline(level.mean, color=ORANGE, linestyle="--", label=name)
        elif regime_of(name) == "gendist":
            panel.axhline(level.mean, color=GREY, linestyle=":", label=f"{name} (real and all generated rows)")
        else:
            panel.axhline(level.mean, color=GREEN, linestyle="-.", label=f"{name} (real rows only)")


def draw_curve(panel: Axes, curve: Mapping[int, Summary], *, label: str, color: str = BLUE, marker: str = "o") -> None:
    """Draw accuracies (percent) against numbers of rows on a logarithmic axis."""
    panel.errorbar(
        list(curve),
        [summary.mean for summary in curve.values()],
        yerr=[summary.sd or 0.0 for summary in curve.values()],
        color=color,
        marker=marker,
        markersize=5,
        capsize=3,
        elinewidth=1.2,
        label=label,
    )
    set_count_axis(panel, list(curve))


def set_count_axis(panel: Axes, counts: Sequence[int]) -> None:
    """Set a logarithmic x axis with a tick for each of the ascending counts."""
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(FixedLocator(counts))
    panel.xaxis.set_minor_locator(NullLocator())
    # Rotated, because counts such as 10,000 and 13,600 would overlap.
    panel.set_xticks(counts, [f"{count:,}" for count in counts], rotation=45, ha="right", rotation_mode="anchor")
    panel.set_xlim(counts[0] / 1.25, counts[-1] * 1.25)


def _record(dataset: str, system: str, count: int | None, summary: Summary) -> dict[str, str | int | float | None]:
    return {
        "dataset": dataset,
        "system": system,
        "n_synthetic": count,
        "runs": summary.runs,
        "accuracy": round_score(summary.mean),
        "sd": round_score(summary.sd),
    }
