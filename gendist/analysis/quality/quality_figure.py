"""Figure: length, teacher's confidence and classes of generated and real rows."""

from collections.abc import Mapping, Sequence
from itertools import chain, cycle
from pathlib import Path

import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

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
from gendist.analysis.quality.assess_pool import GENERATED, HELD_OUT
from gendist.analysis.quality.quality_table import REAL_GROUPS, PoolRecord, pool_name, records_by_dataset
from gendist.analysis.quality.text_statistics import QUANTILES
from gendist.analysis.table_files import write_plot_data
from gendist.io.escape import shorten
from gendist.io.json_files import read_json
from gendist.io.provenance import Provenance, hash_file

SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("measure", pa.string()),
        ("texts", pa.string()),
        ("at", pa.string()),
        ("value", pa.float64()),
    ]
)
"""The plotted data: quantiles of ``words`` and ``confidence`` at percentages of the rows, and the percentage of rows of
each predicted ``class``."""

COLOURS = (BLUE, ORANGE, GREEN, "#cc79a7", "#e69f00", "#56b4e9")
"""Colours of the pools, the main one first (Okabe and Ito, 2008)."""
MARKERS = "osD^vP"

PlotRow = Mapping[str, str | float]
"""A row of ``SCHEMA``."""


def draw_quality(pools: Sequence[Path], *, out_svg: Path, out_png: Path, out_csv: Path, out_parquet: Path) -> None:
    """Plot three panels per dataset: words, teacher's confidence, predicted classes.

    Args:
        pools: ``quality.json`` files; the first of each dataset is its main pool.
        out_svg: the figure.
        out_png: the figure.
        out_csv: the plotted data.
        out_parquet: the plotted data, with provenance.

    Raises:
        GendistError: if a file is missing or damaged.
    """
    datasets = records_by_dataset([read_json(path) for path in pools])
    n_classes = max(len(records[0]["scores"][GENERATED]["classes"]) for records in datasets.values())
    rows: list[PlotRow] = []
    with style_context():
        figure, axes = make_panels(3 * len(datasets), height=max(2.9, 1.2 + 0.24 * n_classes))
        for index, (dataset, records) in enumerate(datasets.items()):
            dataset_rows = [row for series in _series(records) for row in _plot_rows(dataset, *series)]
            for panel, measure in zip(axes[3 * index :], ("words", "confidence"), strict=False):
                _draw_quantiles(panel, [row for row in dataset_rows if row["measure"] == measure])
                panel.set_xlabel("words of a row" if measure == "words" else "teacher's highest probability")
                panel.set_ylabel("rows with at most so much (%)")
            _draw_classes(axes[3 * index + 2], [row for row in dataset_rows if row["measure"] == "class"])
            axes[3 * index].set_title(dataset, loc="left")
            rows += dataset_rows
        shared_legend(figure, axes)
        save_figure(figure, out_svg, out_png)
    inputs = {f"pools/{i:02d}": hash_file(path) for i, path in enumerate(pools)}
    for out in (out_csv, out_parquet):
        write_plot_data(out, pa.Table.from_pylist(rows, schema=SCHEMA), Provenance("quality", inputs))


def _series(records: Sequence[PoolRecord]) -> list[tuple[str, PoolRecord, str]]:
    """Return (name, record, group) of each series: held-out real rows, then the pools."""
    return [(REAL_GROUPS[HELD_OUT], records[0], HELD_OUT), *((pool_name(r), r, GENERATED) for r in records)]


def _plot_rows(dataset: str, name: str, record: PoolRecord, group: str) -> list[PlotRow]:
    scores = record["scores"][group]
    measured = {"words": record["texts"][group]["words"], "confidence": scores["confidence"]}
    points = [
        (measure, str(percent), value)
        for measure, values in measured.items()
        for percent, value in zip(QUANTILES, values["quantiles"], strict=True)
    ]
    points += [("class", label, round(share["rows"] * 100, 4)) for label, share in scores["classes"].items()]
    return [{"dataset": dataset, "measure": m, "texts": name, "at": at, "value": value} for m, at, value in points]


def _split_series(rows: Sequence[PlotRow]) -> list[tuple[str, str, str, list[PlotRow]]]:
    """Return (name, colour, marker, rows) of each series; the first one, real rows, is grey."""
    styles = chain([(GREY, "x")], cycle(zip(COLOURS, MARKERS, strict=True)))
    names = dict.fromkeys(str(row["texts"]) for row in rows)
    return [
        (name, *style, [row for row in rows if row["texts"] == name])
        for name, style in zip(names, styles, strict=False)
    ]


def _draw_quantiles(panel: Axes, rows: Sequence[PlotRow]) -> None:
    ends = []
    for name, colour, marker, series_rows in _split_series(rows):
        values = [float(row["value"]) for row in series_rows]
        percent = [float(row["at"]) for row in series_rows]
        style = "--" if marker == "x" else "-"
        panel.plot(values, percent, style, color=colour, marker=marker, markersize=4, markevery=4, label=name)
        ends.append(values[-2])
    panel.set_ylim(0, 100)
    panel.set_xlim(0, 1.05 * max(ends))  # the maximum would squeeze the axis


def _draw_classes(panel: Axes, rows: Sequence[PlotRow]) -> None:
    labels = list(dict.fromkeys(str(row["at"]) for row in rows))
    series = _split_series(rows)
    for index, (_, colour, marker, series_rows) in enumerate(series):
        shift = 0.5 * (index - (len(series) - 1) / 2) / len(series)
        positions = [labels.index(str(row["at"])) + shift for row in series_rows]
        shares = [float(row["value"]) for row in series_rows]
        panel.plot(shares, positions, marker, color=colour, markersize=5, linestyle="none")
    panel.axvline(100 / len(labels), color=GREY, linewidth=1, linestyle=":")
    panel.set_yticks(range(len(labels)), [shorten(label, 24) for label in labels])
    panel.set_ylim(len(labels) - 0.5, -0.5)  # first class on top
    panel.set_xlim(left=0)
    panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    panel.set_xlabel("rows that the teacher takes for it (%)")
    panel.grid(axis="y", visible=False)
