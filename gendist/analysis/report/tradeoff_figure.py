"""Figure: accuracy against size on disk and latency."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from gendist.analysis.figure_style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SKY,
    make_panels,
    save_figure,
    shared_legend,
    style_context,
)
from gendist.analysis.metrics_table import read_runs, round_score, select_runs, summarise
from gendist.analysis.report.class_plots import FIGURE_WIDTH, new_figure
from gendist.analysis.report.costs_table import MEGABYTE, is_exported_model, read_costs
from gendist.analysis.report.point_labels import label_points
from gendist.analysis.table_files import write_plot_data
from gendist.errors import GendistError
from gendist.io.provenance import Provenance
from gendist.naming import BASELINES, TEACHER, WITH_SYNTHETIC, WITH_UNLABELLED, regime_of

SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("system", pa.string()),
        ("runtime", pa.string()),
        ("size_bytes", pa.int64()),
        ("latency_p50_ms", pa.float64()),
        ("runs", pa.int64()),
        ("accuracy", pa.float64()),
        ("sd", pa.float64()),
    ]
)
"""The plotted data. accuracy and sd in percent."""
COST_AXES = {
    "size_bytes": (MEGABYTE, "size on disk (MB)"),
    "latency_p50_ms": (1.0, "median latency of one text (ms)"),
}
"""Divisor and axis label of each cost column."""

DEPLOYED_STYLE = "as deployed, in 8 bits", GREEN, "*"
"""Kind, colour and marker of the exported model, drawn at the mean accuracy of its system."""

PlotPoint = Mapping[str, Any]
"""A row of the plotted data."""


def draw_tradeoff(
    metrics: Path,
    costs: Path,
    *,
    counts: Mapping[str, int],
    main: Mapping[str, str],
    out_svg: Path,
    out_png: Path,
    out_csv: Path,
) -> None:
    """Plot the mean accuracy over seeds against size and latency, two panels per dataset.

    Args:
        metrics: ``metrics.parquet``.
        costs: ``results/costs.parquet``.
        counts: synthetic rows by dataset, in order.
        main: names of teacher, generator, sampling and training.
        out_svg: the figure.
        out_png: the figure.
        out_csv: the plotted data.

    Raises:
        GendistError: if no system has both runs and costs.
    """
    runs = read_runs(metrics)
    rows = []
    for cost in read_costs(costs):
        dataset, system = cost["dataset"], cost["system"]
        summary = summarise(select_runs(runs, dataset, system, main=main, count=counts.get(dataset)))
        if summary:
            scores = {"runs": summary.runs, "accuracy": round_score(summary.mean), "sd": round_score(summary.sd)}
            rows.append({name: cost[name] for name in SCHEMA.names if name in cost} | scores)
    shown = [dataset for dataset in counts if any(row["dataset"] == dataset for row in rows)]
    if not shown:
        raise GendistError(f"{costs}: no system has a run in {metrics}")
    with style_context():
        figure, axes = make_panels(2 * len(shown), height=4.6, columns=2)
        for index, dataset in enumerate(shown):
            for panel, column in zip(axes[2 * index :], COST_AXES, strict=False):
                _draw(panel, [row for row in rows if row["dataset"] == dataset], column)
                panel.set_title(dataset)
        shared_legend(figure, axes)
        _freeze_layout(figure)
        for index, panel in enumerate(axes):
            dataset_rows = [row for row in rows if row["dataset"] == shown[index // 2]]
            _label_systems(figure, panel, dataset_rows, list(COST_AXES)[index % 2])
        save_figure(figure, out_svg, out_png)
    write_plot_data(out_csv, pa.Table.from_pylist(rows, schema=SCHEMA), Provenance("report"))


def tradeoff_plot(rows: Sequence[PlotPoint], column: str) -> Figure:
    """Draw one panel: accuracy and sd, in percent, against a cost column, with labelled systems."""
    figure, panel = new_figure(FIGURE_WIDTH, 4.4)
    _draw(panel, rows, column)
    shared_legend(figure, [panel], columns=2)
    _freeze_layout(figure)
    _label_systems(figure, panel, rows, column)
    return figure


def _freeze_layout(figure: Figure) -> None:
    """Freeze the layout before labels are placed."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def _label_systems(figure: Figure, panel: Axes, rows: Sequence[PlotPoint], column: str) -> None:
    points = [(row[column] / COST_AXES[column][0], row["accuracy"]) for row in rows]
    names = [f"{row['system']}, deployed" if is_exported_model(row) else row["system"] for row in rows]
    label_points(figure, panel, points=points, spreads=[row["sd"] or 0.0 for row in rows], names=names)


def _draw(panel: Axes, rows: Sequence[PlotPoint], column: str) -> None:
    unit, label = COST_AXES[column]
    labelled_kinds = set()
    for row in rows:
        kind, colour, marker = DEPLOYED_STYLE if is_exported_model(row) else _system_style(row["system"])
        panel.errorbar(
            [row[column] / unit],
            [row["accuracy"]],
            yerr=None if row["sd"] is None else [row["sd"]],
            fmt=marker,
            color=colour,
            markersize=6,
            capsize=2.5,
            elinewidth=1.0,
            label=None if kind in labelled_kinds else kind,
            zorder=3,
        )
        labelled_kinds.add(kind)
    panel.set_xscale("log")
    panel.set_xlabel(label)
    panel.set_ylabel("test accuracy (%)")
    panel.margins(x=0.22, y=0.1)
    panel.xaxis.set_major_formatter(FuncFormatter(_format_tick))
    panel.xaxis.set_minor_formatter(NullFormatter())


def _format_tick(value: float, _: int) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _system_style(system: str) -> tuple[str, str, str]:
    """Return the kind of a system, its colour and its marker."""
    if system == TEACHER:
        return "teacher", ORANGE, "D"
    if system in BASELINES:
        return "baseline", GREY, "s"
    regime = regime_of(system)
    if regime in WITH_UNLABELLED:
        return "student, with unlabelled rows", BLUE, "P"
    if regime in WITH_SYNTHETIC:
        return "student, generation-distilled", GREEN, "^"
    return ("student, distilled", BLUE, "o") if regime else ("student, from gold labels", SKY, "v")
