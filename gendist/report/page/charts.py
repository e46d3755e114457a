"""The page's figures, redrawn from their data in the colours of the page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from gendist.report.figure2 import draw_curve, draw_lines
from gendist.report.page.sources import Row, number, read_rows
from gendist.report.plots import WIDTH, confusion_plot, new_figure, per_class_plot, reliability_plot
from gendist.report.rows import STYLES, draw_panel
from gendist.report.runs import Summary
from gendist.report.sampling import draw_groups
from gendist.report.style import inline_svg, shared_legend, styled
from gendist.report.tradeoff import tradeoff_plot
from gendist.systems import regime_of


def details(files: Mapping[str, Path], names: Sequence[str], prefix: str) -> dict[str, Markup]:
    """Draw confusion, scores of the classes and reliability of one dataset.

    Args:
        files: their CSVs by stem.
        names: of the classes.
        prefix: of ids, unlike that of any other dataset.
    """
    lines = [list(row.values())[1:] for row in read_rows(files["confusion"])]
    counts = np.array(lines, dtype=int)
    groups: dict[str, list[Row]] = {}
    for row in read_rows(files["reliability"]):
        groups.setdefault(f"{row['calibration']} (calibration error {float(row['ece']):.1f} %)", []).append(row)
    with styled(themed=True):
        return {
            "confusion": _inline(confusion_plot(names, counts), f"{prefix}-confusion"),
            "per_class": _inline(per_class_plot(read_rows(files["per_class"])), f"{prefix}-classes"),
            "reliability": _inline(
                reliability_plot({name: [_blank(row) for row in rows] for name, rows in groups.items()}),
                f"{prefix}-reliability",
            ),
        }


def tradeoff(rows: Sequence[Mapping[str, Any]], column: str, prefix: str) -> Markup | None:
    """Draw accuracy against a column of the costs; None where nothing was measured."""
    if not rows:
        return None
    with styled(themed=True):
        return _inline(tradeoff_plot(rows, column), f"{prefix}-{column}")


def curve(rows: Sequence[Row], prefix: str) -> Markup | None:
    """Draw Figure 2 of one dataset from its data; None without a curve."""
    points = {int(r["n_synthetic"]): _summary(r) for r in rows if r["n_synthetic"]}
    if not points:
        return None
    system = next(r["system"] for r in rows if r["n_synthetic"])
    levels = {r["system"]: _summary(r) for r in rows if not r["n_synthetic"]}
    with styled(themed=True):
        figure, axes = new_figure(WIDTH, 4.2)
        draw_curve(axes, points, f"{system}, mean ± sd")
        draw_lines(axes, levels)
        axes.set(xlabel="generated rows", ylabel="test accuracy (%)")
        axes.margins(y=0.12)
        shared_legend(figure, [axes], columns=2)
        return _inline(figure, f"{prefix}-curve")


def further_rows(rows: Sequence[Row], prefix: str) -> Markup | None:
    """Draw accuracy against generated and unlabelled rows of one dataset from its data; None without any."""
    if not rows:
        return None
    points = [row for row in rows if row["n_synthetic"]]
    curves = {
        regime: {
            int(row["n_unlabelled" if regime == "unlabelled" else "n_synthetic"]): _summary(row)
            for row in points
            if regime_of(row["system"]) == regime
        }
        for regime in STYLES
    }
    with styled(themed=True):
        figure, axes = new_figure(WIDTH, 4.6)
        draw_panel(axes, curves, {row["system"]: _summary(row) for row in rows if not row["n_synthetic"]})
        axes.set_ylabel("test accuracy (%)")
        shared_legend(figure, [axes], columns=2)
        return _inline(figure, f"{prefix}-rows")


def samplings(rows: Sequence[Row], prefix: str) -> Markup | None:
    """Draw the sampling comparison of one dataset from its data; None without any."""
    groups: dict[str, list[dict[str, float]]] = {}
    for row in rows:
        groups.setdefault(row["sampling"], []).append({"accuracy": float(row["accuracy"]) / 100})
    if not groups:
        return None
    with styled(themed=True):
        figure, axes = new_figure(WIDTH, 1.5 + 0.5 * len(groups))
        draw_groups(axes, groups)
        axes.set_xlabel(f"test accuracy of {rows[0]['system']} (%)")
        shared_legend(figure, [axes], columns=2)
        return _inline(figure, f"{prefix}-sampling")


def _summary(row: Row) -> Summary:
    return Summary(int(row["runs"]), float(row["accuracy"]), number(row["sd"]))


def _blank(row: Row) -> dict[str, str | None]:
    return {key: value or None for key, value in row.items()}


def _inline(figure: Figure, name: str) -> Markup:
    return Markup(inline_svg(figure, name))  # matplotlib escapes the texts in it
