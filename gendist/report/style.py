"""How figures look, and how they are saved: equal data give equal bytes.

Figures are made without pyplot, so nothing opens a window and no state is shared.
"""

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
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

PAPER = "#fefdfe"
"""Background of what stands over lines: white in a file, the page's own colour in a page."""
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
    "legend.columnspacing": 1.2,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "lines.linewidth": 1.8,
    "svg.fonttype": "path",
    "svg.hashsalt": "gendist",  # otherwise the ids in an SVG are random
    "text.parse_math": False,  # a class may be called $x$
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
}


_INK, _LINES = "#010203", "#dddddd"
_THEMED: dict[Any, Any] = {
    **dict.fromkeys(
        ("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color", "axes.titlecolor"), _INK
    ),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "none"),
    **{"font.size": 11, "axes.labelsize": 11, "legend.fontsize": 10, "xtick.labelsize": 10, "ytick.labelsize": 10},
    "svg.fonttype": "none",  # letters stay letters: the page's font, found by a search, read aloud
}
_THEME = {
    _INK: "currentColor",
    _LINES: "var(--grid)",
    BLUE: "var(--blue)",
    SKY: "var(--sky)",
    ORANGE: "var(--orange)",
    GREEN: "var(--green)",
    GREY: "var(--grey)",
    PAPER: "var(--paper)",
}
"""What colours become in a page: its own, which change with its background."""


@contextmanager
def styled(themed: bool = False) -> Iterator[None]:
    """Draw and save under the house style, whatever the user's matplotlibrc says.

    Args:
        themed: for ``inline_svg``; without a background.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS | (_THEMED if themed else {}))
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


def shared_legend(figure: Figure, axes: Sequence[Axes], columns: int | None = None) -> None:
    """Put one legend with each label once below the panels, in as many columns as the figure is wide enough for.

    Args:
        figure: the figure.
        axes: its panels.
        columns: the most columns; without it, one for each panel.
    """
    handles: dict[str, Artist] = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(str(label), handle)
    columns = columns or len(axes)
    while True:
        legend = figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=columns)
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()
        columns -= 1


def save(figure: Figure, out_svg: Path, out_png: Path) -> None:
    """Write SVG and PNG without dates or versions in them."""
    for path, metadata in ((out_svg, _SVG_METADATA), (out_png, {"Software": None})):
        write_bytes(path, _drawn(figure, Path(path).suffix.removeprefix("."), metadata))


def inline_svg(figure: Figure, name: str) -> str:
    """Return an ``svg`` element for an HTML page that takes its colours from the page.

    Args:
        figure: drawn under ``styled(themed=True)``; what it shows should be said beside it.
        name: letters and digits that no other figure of the page has; ids begin with it.
    """
    svg = _drawn(figure, "svg", _SVG_METADATA).decode()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style\b.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    for colour, of_page in _THEME.items():
        svg = svg.replace(colour, of_page)
    width, height = figure.get_size_inches() * 72
    root = f'<svg class="plot" viewBox="0 0 {width:g} {height:g}" xmlns:xlink="http://www.w3.org/1999/xlink"'
    style = 'style="stroke-linejoin: round; stroke-linecap: butt" aria-hidden="true"'
    return re.sub(r"<svg\b[^>]*>", f"{root} {style}>", svg, count=1)


_SVG_METADATA = {"Date": None, "Creator": "gendist"}


def _drawn(figure: Figure, kind: str, metadata: Mapping[str, str | None]) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Names of classes in scripts that the font lacks: boxes in a PNG, letters in an SVG of the page.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        warnings.filterwarnings("ignore", message=r"Matplotlib currently does not support .* natively")
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=dict(metadata))
    return buffer.getvalue()
