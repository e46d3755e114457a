"""Plots of one dataset: confusion matrix, class scores, reliability.

Each is drawn from the rows of its CSV, for a file or, under ``styled(themed=True)``, for a page.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from gendist.analysis.figure_style import BLUE, GREEN, GREY, ORANGE, shared_legend
from gendist.io.escape import shorten

FIGURE_WIDTH = 4.8
"""Width of a figure in inches, readable on a phone."""
MAX_NAME_LENGTH = 24
"""Maximum characters of a class name."""
MAX_ANNOTATED_CLASSES = 20
"""Confusion matrices of up to this many classes show numbers."""
MAX_OPACITY = 0.55
"""Opacity of a cell with all rows of its class; numbers stay readable on light and dark pages."""
MIN_BIN_PREDICTIONS = 10
"""Reliability bins with fewer predictions are not drawn."""
SCORE_STYLES = (("precision", GREEN, "s"), ("recall", ORANGE, "^"), ("f1", BLUE, "o"))


def confusion_plot(names: Sequence[str], counts: np.ndarray) -> Figure:
    """Draw a confusion matrix in percent of the true class.

    Args:
        names: class names.
        counts: (classes, classes), true classes in rows.
    """
    classes = len(names)
    side = max(FIGURE_WIDTH, 1.6 + 0.27 * classes)
    figure, axes = new_figure(side, side * 0.9)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    for gold, predicted in np.argwhere(counts):
        share = shares[gold, predicted]
        shade = MAX_OPACITY * float(share)
        axes.add_patch(Rectangle((predicted - 0.5, gold - 0.5), 1, 1, facecolor=BLUE, alpha=shade, linewidth=0))
        if classes <= MAX_ANNOTATED_CLASSES:
            size = 9 if classes <= 8 else 7
            percent = f"{share * 100:.0f}"
            axes.text(predicted, gold, "<1" if percent == "0" else percent, ha="center", va="center", fontsize=size)
    shown = [shorten(name, MAX_NAME_LENGTH) for name in names]
    axes.set_xticks(range(classes), shown, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(classes), shown)
    axes.set(xlim=(-0.5, classes - 0.5), ylim=(classes - 0.5, -0.5), xlabel="predicted class", ylabel="true class")
    axes.grid(visible=False)
    return figure


def per_class_plot(rows: Sequence[Mapping[str, float | str | None]]) -> Figure:
    """Draw precision, recall and F1 of every class with confidence intervals.

    Args:
        rows: ``class``, and for each score its value, ``... low`` and ``... high``, in percent or None.
    """
    figure, axes = new_figure(FIGURE_WIDTH, 1.2 + 0.42 * len(rows))
    for shift, (score, colour, marker) in zip((-0.24, 0.0, 0.24), SCORE_STYLES, strict=True):
        for index, row in enumerate(rows):
            value, low, high = (_float_or_nan(row[key]) for key in (score, f"{score} low", f"{score} high"))
            label = {"f1": "F1"}.get(score, score) if index == 0 else None
            axes.plot([low, high], [index + shift] * 2, color=colour, linewidth=1.4)
            axes.plot([value], [index + shift], marker, color=colour, markersize=4.5, label=label)
    axes.set_yticks(range(len(rows)), [shorten(str(row["class"]), MAX_NAME_LENGTH) for row in rows])
    axes.set(ylim=(len(rows) - 0.4, -0.6), xlabel="%, with 95 % interval")
    axes.grid(axis="y", visible=False)
    shared_legend(figure, [axes], columns=3)
    return figure


def reliability_plot(groups: Mapping[str, Sequence[Mapping[str, float | str | None]]]) -> Figure:
    """Draw a reliability diagram: accuracy against confidence, and a histogram of the confidence.

    Args:
        groups: by label of the curve, rows with ``predictions``, ``confidence`` and ``accuracy`` (percent).
    """
    figure, (axes, below) = _figures(FIGURE_WIDTH, 4.4)
    axes.plot([0, 100], [0, 100], "--", color=GREY, linewidth=1.2, label="as sure as right")
    bars = len(groups)
    for number, (label, rows) in enumerate(groups.items()):
        filled = [row for row in rows if _float_or_nan(row["predictions"]) >= MIN_BIN_PREDICTIONS]
        colour, marker = ((BLUE, "o"), (ORANGE, "s"))[number]
        points = [[_float_or_nan(row[key]) for row in filled] for key in ("confidence", "accuracy")]
        axes.plot(*points, color=colour, marker=marker, markersize=4.5, label=label)
        counts = np.array([_float_or_nan(row["predictions"]) for row in rows])
        width = 100 / len(rows) / bars
        left = np.arange(len(rows)) * width * bars + number * width
        below.bar(left, counts / counts.sum() * 100, width * 0.9, align="edge", color=colour)
    axes.set(xlim=(0, 100), ylim=(0, 100), ylabel="right, %")
    below.set(xlim=(0, 100), xlabel="probability of the predicted class, %", ylabel="share, %")
    axes.tick_params(labelbottom=False)
    shared_legend(figure, [axes], columns=2 if bars == 1 else 1)
    return figure


def _float_or_nan(value: float | str | None) -> float:
    return float("nan") if value is None or value == "" else float(value)


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Create a figure with one panel; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _figures(width: float, height: float) -> tuple[Figure, tuple[Axes, Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, height_ratios=(4, 1))
    return figure, (above, below)
