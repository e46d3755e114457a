"""Place labels next to the points of a plot without overlaps."""

import math
from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from gendist.analysis.figure_style import GREY, LABEL_BACKGROUND

RING_DISTANCE, N_RINGS, N_DIRECTIONS = 7.0, 24, 16
"""Candidate positions: distance between rings in points, number of rings, positions per ring."""
LABEL_MARGIN = 1.5
"""Margin around a label, in points."""


def label_points(
    figure: Figure,
    panel: Axes,
    *,
    points: Sequence[tuple[float, float]],
    spreads: Sequence[float],
    names: Sequence[str],
) -> None:
    """Draw each label at the nearest free position, with a thin line to its point if it is not adjacent.

    Call this last: the layout must not change afterwards.

    Args:
        figure: the figure, with its final layout.
        panel: the panel, with its final limits.
        points: (x, y) of each point, in data coordinates.
        spreads: half-length of each error bar, in data coordinates.
        names: label of each point.
    """
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]  # the Agg canvas has one
    scale = figure.dpi / 72
    inside = panel.get_window_extent(renderer)
    pixels = [(float(x), float(y)) for x, y in map(panel.transData.transform, points)]
    occupied = [_box(x, y, 4 * scale, 4 * scale) for x, y in pixels]
    for (x, y), (_, height), spread in zip(pixels, points, spreads, strict=True):
        top = panel.transData.transform((1.0, height + spread))[1]
        occupied.append(_box(x, y, 2 * scale, float(top) - y))
    # Label crowded points first: they have the fewest free positions.
    n_neighbours = [sum(math.dist(a, b) < 60 * scale for b in pixels) for a in pixels]
    for i in sorted(range(len(names)), key=lambda i: (-n_neighbours[i], -pixels[i][1], names[i])):
        text = panel.text(0, 0, names[i], transform=None, fontsize=8, ha="center", va="center", zorder=4)
        text.set_in_layout(False)
        text.set_bbox(
            {"facecolor": LABEL_BACKGROUND, "edgecolor": "none", "pad": 0.5}
        )  # cover the lines of other labels
        size = text.get_window_extent(renderer)
        half = size.width / 2 + LABEL_MARGIN * scale, size.height / 2 + LABEL_MARGIN * scale
        x, y = pixels[i]
        boxes = (_box(x + dx, y + dy, *half) for dx, dy in _offsets(half, scale))
        free = (b for b in boxes if _is_inside(b, inside) and not any(b.overlaps(other) for other in occupied))
        box = next(free, _box(x, y, *half))  # no free position: on the point
        occupied.append(box)
        to_data = panel.transData.inverted()
        centre = to_data.transform(((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2))
        text.set_transform(panel.transData)
        text.set_position((float(centre[0]), float(centre[1])))
        nearest = _nearest_point((x, y), box)
        if math.dist((x, y), nearest) > 1.3 * RING_DISTANCE * scale:
            end = to_data.transform(nearest)
            panel.plot([points[i][0], end[0]], [points[i][1], end[1]], color=GREY, linewidth=0.6, zorder=1)


def _offsets(half: tuple[float, float], scale: float) -> Iterator[tuple[float, float]]:
    """Yield offsets of the label's centre in pixels: nearest ring first, then left and right before above and below."""
    for ring in range(1, N_RINGS + 1):
        distance = ring * RING_DISTANCE * scale
        for turn in range(N_DIRECTIONS):
            # Right, left, then increasing angles.
            sign = 1 if turn % 2 == 0 else -1
            angle = math.pi * (turn // 2) / (N_DIRECTIONS / 2) * (1 if (turn // 2) % 2 else -1)
            across, up = math.cos(angle) * sign, math.sin(angle)
            yield across * (distance + half[0]), up * (distance + half[1])


def _box(x: float, y: float, half_width: float, half_height: float) -> Bbox:
    return Bbox.from_extents(x - half_width, y - half_height, x + half_width, y + half_height)


def _is_inside(box: Bbox, outer: Bbox) -> bool:
    return bool(box.x0 >= outer.x0 and box.x1 <= outer.x1 and box.y0 >= outer.y0 and box.y1 <= outer.y1)


def _nearest_point(point: tuple[float, float], box: Bbox) -> tuple[float, float]:
    """Return the point of a box nearest to a point."""
    return min(max(point[0], box.x0), box.x1), min(max(point[1], box.y0), box.y1)
