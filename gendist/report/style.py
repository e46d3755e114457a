"""How figures look, and how they are saved: equal data give equal bytes.

Figures are made without pyplot, so nothing opens a window and no state is shared.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gendist.artifacts import write_bytes

BLUE, SKY, ORANGE, GREEN, GREY = "#0072b2", "#56b4e9", "#d55e00", "#009e73", "#5f5f5f"
"""Colours that colour-blind readers can tell apart (Okabe and Ito, 2008)."""

DPI = 160

_SETTINGS: dict[Any, Any] = {
    "axes.edgecolor": "#333333",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    # Opaque white: transparent figures with dark text vanish on dark pages.
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.transparent": False,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.08,
    "font.family": "DejaVu Sans",  # ships with matplotlib, so every machine draws the same
    "font.size": 10,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.7,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.fonttype": "path",
    "svg.hashsalt": "gendist",  # otherwise the ids in an SVG are random
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw and save under the house style, whatever the user's matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def panels(count: int, height: float = 3.4, columns: int = 3) -> tuple[Figure, list[Axes]]:
    """Make a figure with a panel per dataset, or several.

    Args:
        count: number of panels.
        height: height of a panel in inches.
        columns: the most panels in a line, up to three.
    """
    columns = min(count, columns)
    lines = -(-count // columns)
    width = {1: 6.0, 2: 4.8, 3: 4.2}[columns]
    figure = Figure(figsize=(width * columns, height * lines + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(lines, columns, squeeze=False)
    axes = list(grid.flat)
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def shared_legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Put one legend with each label once below the panels."""
    handles: dict[str, Artist] = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(str(label), handle)
    columns = len(axes) if len(axes) > 1 else 1
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=columns)


def save(figure: Figure, out_svg: Path, out_png: Path) -> None:
    """Write SVG and PNG without dates or versions in them."""
    for path, metadata in ((out_svg, {"Date": None, "Creator": "gendist"}), (out_png, {"Software": None})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=Path(path).suffix.removeprefix("."), dpi=DPI, metadata=metadata)
        write_bytes(path, buffer.getvalue())
