"""Figures of the page as inline SVG, drawn from the data files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from gendist.analysis.figure_style import inline_svg, shared_legend, style_context
from gendist.analysis.metrics_table import Summary
from gendist.analysis.report.class_plots import (
    FIGURE_WIDTH,
    confusion_plot,
    new_figure,
    per_class_plot,
    reliability_plot,
)
from gendist.analysis.report.figure2 import draw_curve, draw_levels
from gendist.analysis.report.rows_figure import REGIME_STYLES, draw_panel
from gendist.analysis.report.sampling_figure import draw_strategies
from gendist.analysis.report.tradeoff_figure import tradeoff_plot
from gendist.analysis.report_page.report_inputs import CsvRow, parse_number, read_csv_rows
from gendist.naming import regime_of


def details_charts(files: Mapping[str, Path], names: Sequence[str], prefix: str) -> dict[str, Markup]:
    """Draw confusion matrix, class scores and reliability of one dataset.

    Args:
        files: CSV files by stem.
        names: class names.
        prefix: prefix of SVG ids, unique per dataset.
    """
    lines = [list(row.values())[1:] for row in read_csv_rows(files["confusion"])]
    counts = np.array(lines, dtype=int)
    groups: dict[str, list[CsvRow]] = {}
    for row in read_csv_rows(files["reliability"]):
        groups.setdefault(f"{row['calibration']} (calibration error {float(row['ece']):.1f} %)", []).append(row)
    with style_context(themed=True):
        return {
            "confusion": _inline(confusion_plot(names, counts), f"{prefix}-confusion"),
            "per_class": _inline(per_class_plot(read_csv_rows(files["per_class"])), f"{prefix}-classes"),
            "reliability": _inline(
                reliability_plot({name: [_empty_to_none(row) for row in rows] for name, rows in groups.items()}),
                f"{prefix}-reliability",
            ),
        }


def tradeoff_chart(rows: Sequence[Mapping[str, Any]], column: str, prefix: str) -> Markup | None:
    """Draw accuracy against a cost column; None without measurements."""
    if not rows:
        return None
    with style_context(themed=True):
        return _inline(tradeoff_plot(rows, column), f"{prefix}-{column}")


def curve_chart(rows: Sequence[CsvRow], prefix: str) -> Markup | None:
    """Draw Figure 2 of one dataset; None without data."""
    points = {int(r["n_synthetic"]): _summary(r) for r in rows if r["n_synthetic"]}
    if not points:
        return None
    system = next(r["system"] for r in rows if r["n_synthetic"])
    levels = {r["system"]: _summary(r) for r in rows if not r["n_synthetic"]}
    with style_context(themed=True):
        figure, axes = new_figure(FIGURE_WIDTH, 4.2)
        draw_curve(axes, points, label=f"{system}, mean ± sd")
        draw_levels(axes, levels)
        axes.set(xlabel="generated rows", ylabel="test accuracy (%)")
        axes.margins(y=0.12)
        shared_legend(figure, [axes], columns=2)
        return _inline(figure, f"{prefix}-curve")


def rows_chart(rows: Sequence[CsvRow], prefix: str) -> Markup | None:
    """Draw accuracy against generated and unlabelled rows of one dataset; None without data."""
    if not rows:
        return None
    points = [row for row in rows if row["n_synthetic"]]
    curves = {
        regime: {
            int(row["n_unlabelled" if regime == "unlabelled" else "n_synthetic"]): _summary(row)
            for row in points
            if regime_of(row["system"]) == regime
        }
        for regime in REGIME_STYLES
    }
    with style_context(themed=True):
        figure, axes = new_figure(FIGURE_WIDTH, 4.6)
        draw_panel(axes, curves, {row["system"]: _summary(row) for row in rows if not row["n_synthetic"]})
        axes.set_ylabel("test accuracy (%)")
        shared_legend(figure, [axes], columns=2)
        return _inline(figure, f"{prefix}-rows")


def sampling_chart(rows: Sequence[CsvRow], prefix: str) -> Markup | None:
    """Draw the sampling comparison of one dataset; None without data."""
    groups: dict[str, list[dict[str, float]]] = {}
    for row in rows:
        groups.setdefault(row["sampling"], []).append({"accuracy": float(row["accuracy"]) / 100})
    if not groups:
        return None
    with style_context(themed=True):
        figure, axes = new_figure(FIGURE_WIDTH, 1.5 + 0.5 * len(groups))
        draw_strategies(axes, groups)
        axes.set_xlabel(f"test accuracy of {rows[0]['system']} (%)")
        shared_legend(figure, [axes], columns=2)
        return _inline(figure, f"{prefix}-sampling")


def _summary(row: CsvRow) -> Summary:
    return Summary(int(row["runs"]), float(row["accuracy"]), parse_number(row["sd"]))


def _empty_to_none(row: CsvRow) -> dict[str, str | None]:
    return {key: value or None for key, value in row.items()}


def _inline(figure: Figure, name: str) -> Markup:
    return Markup(inline_svg(figure, name))  # matplotlib escapes text
