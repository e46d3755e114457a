"""Style and output of figures. Equal data give equal bytes.

Figures are created without pyplot: no window, no global state.
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

from gendist.io.atomic_files import write_bytes

BLUE, SKY, ORANGE, GREEN, GREY = "#0072b2", "#56b4e9", "#d55e00", "#009e73", "#5f5f5f"
"""Colour-blind safe palette (Okabe and Ito, 2008)."""

LABEL_BACKGROUND = "#fefdfe"
"""Background of labels drawn over lines: white in files, the page colour in HTML."""
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
    # Opaque white: dark text on a transparent background is unreadable on dark pages.
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.transparent": False,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.08,
    "font.family": "DejaVu Sans",  # ships with matplotlib: same output on every machine
    "font.size": 10,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.7,
    "legend.fontsize": 9,
    "legend.columnspacing": 1.2,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "lines.linewidth": 1.8,
    "svg.fonttype": "path",
    "svg.hashsalt": "gendist",  # deterministic SVG ids
    "text.parse_math": False,  # class names may contain $
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
    "svg.fonttype": "none",  # text stays text: searchable, accessible, in the font of the page
}
_THEME = {
    _INK: "currentColor",
    _LINES: "var(--grid)",
    BLUE: "var(--blue)",
    SKY: "var(--sky)",
    ORANGE: "var(--orange)",
    GREEN: "var(--green)",
    GREY: "var(--grey)",
    LABEL_BACKGROUND: "var(--paper)",
}
"""Colours replaced by CSS variables of the page, for light and dark mode."""


@contextmanager
def style_context(themed: bool = False) -> Iterator[None]:
    """Context with the project's style; ignores the user's matplotlibrc.

    Args:
        themed: style for ``inline_svg``, without a background.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS | (_THEMED if themed else {}))
        yield


def make_panels(count: int, height: float = 3.4, columns: int = 3) -> tuple[Figure, list[Axes]]:
    """Create a figure with a grid of panels.

    Args:
        count: number of panels.
        height: height of a panel in inches.
        columns: maximum number of columns, up to three.
    """
    columns = min(count, columns)
    lines = -(-count // columns)
    width = {1: 6.0, 2: 4.8, 3: 4.2}[columns]
    figure = Figure(figsize=(width * columns, height * lines + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(lines, columns, squeeze=False)
    axes = list(grid.flat)
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def shared_legend(figure: Figure, axes: Sequence[Axes], columns: int | None = None) -> None:
    """Add one legend below the panels, with each label once, in as many columns as fit the figure.

    Args:
        figure: the figure.
        axes: its panels.
        columns: maximum number of columns; one per panel by default.
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


def save_figure(figure: Figure, out_svg: Path, out_png: Path) -> None:
    """Write SVG and PNG without dates or versions in their metadata."""
    for path, metadata in ((out_svg, _SVG_METADATA), (out_png, {"Software": None})):
        write_bytes(path, _render(figure, Path(path).suffix.removeprefix("."), metadata))


def inline_svg(figure: Figure, name: str) -> str:
    """Return an ``svg`` element for an HTML page coloured by the CSS of the page.

    Args:
        figure: drawn under ``styled(themed=True)``; the element is hidden from screen readers, so describe it.
        name: prefix of the ids, unique in the page; letters and digits.
    """
    svg = _render(figure, "svg", _SVG_METADATA).decode()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style\b.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    for colour, variable in _THEME.items():
        svg = svg.replace(colour, variable)
    width, height = figure.get_size_inches() * 72
    root = f'<svg class="plot" viewBox="0 0 {width:g} {height:g}" xmlns:xlink="http://www.w3.org/1999/xlink"'
    style = 'style="stroke-linejoin: round; stroke-linecap: butt" aria-hidden="true"'
    return re.sub(r"<svg\b[^>]*>", f"{root} {style}>", svg, count=1)


_SVG_METADATA = {"Date": None, "Creator": "gendist"}


def _render(figure: Figure, kind: str, metadata: Mapping[str, str | None]) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Class names in scripts missing from the font: boxes in a PNG, text in an inline SVG.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        warnings.filterwarnings("ignore", message=r"Matplotlib currently does not support .* natively")
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=dict(metadata))
    return buffer.getvalue()
