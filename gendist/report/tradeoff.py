"""Accuracy against what a system costs: its size on disk and its latency."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from gendist.artifacts import Provenance
from gendist.errors import GendistError
from gendist.report.costs import MEGABYTE, is_exported, read_costs
from gendist.report.labels import label_points
from gendist.report.plots import WIDTH, new_figure
from gendist.report.runs import choose, read_runs, rounded, summarise
from gendist.report.style import BLUE, GREEN, GREY, ORANGE, SKY, panels, save, shared_legend, styled
from gendist.report.write import write_columns
from gendist.systems import BASELINES, TEACHER, WITH_SYNTHETIC, WITH_UNLABELLED, regime_of

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
"""The plotted data; accuracy and sd in percent."""
AXES = {
    "size_bytes": (MEGABYTE, "size on disk (MB)"),
    "latency_p50_ms": (1.0, "median latency of one text (ms)"),
}
"""Columns of the costs: what each is divided by, and the name of its axis."""

DEPLOYED = "as deployed, in 8 bits", GREEN, "*"
"""Kind, colour and marker of the model that one deploys; its accuracy is the mean of its system's runs."""

Point = Mapping[str, Any]
"""A row of the plotted data."""


def draw_tradeoff(
    metrics: Path,
    costs: Path,
    counts: Mapping[str, int],
    main: Mapping[str, str],
    out_svg: Path,
    out_png: Path,
    out_csv: Path,
) -> None:
    """Plot the mean accuracy over seeds against size and against latency, two panels per dataset.

    Args:
        metrics: the tidy table.
        costs: ``results/costs.parquet``.
        counts: datasets in order, each with the synthetic rows of the systems that take them.
        main: names of the teacher, generator, sampling and training to show.
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
        summary = summarise(choose(runs, dataset, system, main, counts.get(dataset)))
        if summary:
            scores = {"runs": summary.runs, "accuracy": rounded(summary.mean), "sd": rounded(summary.sd)}
            rows.append({name: cost[name] for name in SCHEMA.names if name in cost} | scores)
    shown = [dataset for dataset in counts if any(row["dataset"] == dataset for row in rows)]
    if not shown:
        raise GendistError(f"{costs}: no system of it has a run in {metrics}")
    with styled():
        figure, axes = panels(2 * len(shown), height=4.6, columns=2)
        for place, dataset in enumerate(shown):
            for panel, column in zip(axes[2 * place :], AXES, strict=False):
                _draw(panel, [row for row in rows if row["dataset"] == dataset], column)
                panel.set_title(dataset)
        shared_legend(figure, axes)
        _settle(figure)
        for place, panel in enumerate(axes):
            here = [row for row in rows if row["dataset"] == shown[place // 2]]
            _name(figure, panel, here, list(AXES)[place % 2])
        save(figure, out_svg, out_png)
    write_columns(out_csv, pa.Table.from_pylist(rows, schema=SCHEMA), Provenance("report"))


def tradeoff_plot(rows: Sequence[Point], column: str) -> Figure:
    """Draw one panel: accuracy and sd, in percent, against a column of the costs, each system with its name."""
    figure, panel = new_figure(WIDTH, 4.4)
    _draw(panel, rows, column)
    shared_legend(figure, [panel], columns=2)
    _settle(figure)
    _name(figure, panel, rows, column)
    return figure


def _settle(figure: Figure) -> None:
    """Fix the layout, which names are placed into."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def _name(figure: Figure, panel: Axes, rows: Sequence[Point], column: str) -> None:
    points = [(row[column] / AXES[column][0], row["accuracy"]) for row in rows]
    names = [f"{row['system']}, deployed" if is_exported(row) else row["system"] for row in rows]
    label_points(figure, panel, points, [row["sd"] or 0.0 for row in rows], names)


def _draw(panel: Axes, rows: Sequence[Point], column: str) -> None:
    unit, label = AXES[column]
    named = set()
    for row in rows:
        kind, colour, marker = DEPLOYED if is_exported(row) else _style(row["system"])
        panel.errorbar(
            [row[column] / unit],
            [row["accuracy"]],
            yerr=None if row["sd"] is None else [row["sd"]],
            fmt=marker,
            color=colour,
            markersize=6,
            capsize=2.5,
            elinewidth=1.0,
            label=None if kind in named else kind,
            zorder=3,
        )
        named.add(kind)
    panel.set_xscale("log")
    panel.set_xlabel(label)
    panel.set_ylabel("test accuracy (%)")
    panel.margins(x=0.22, y=0.1)
    panel.xaxis.set_major_formatter(FuncFormatter(_plain))
    panel.xaxis.set_minor_formatter(NullFormatter())


def _plain(value: float, _: int) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _style(system: str) -> tuple[str, str, str]:
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
