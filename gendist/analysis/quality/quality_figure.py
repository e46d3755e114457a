"""Length, the teacher's confidence and the classes of generated rows, drawn beside those of real rows."""

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
from gendist.io.files import read_json
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
"""What is plotted: quantiles of ``words`` and ``confidence`` at a percentage of the rows, and the share of rows (in
percent) of each predicted ``class``."""

COLOURS = (BLUE, ORANGE, GREEN, "#cc79a7", "#e69f00", "#56b4e9")
"""Of the pools, the main one first (Okabe and Ito, 2008)."""
MARKERS = "osD^vP"

PlotRow = Mapping[str, str | float]
"""A row of ``SCHEMA``."""


def draw_quality(pools: Sequence[Path], out_svg: Path, out_png: Path, out_csv: Path, out_parquet: Path) -> None:
    """Plot three panels for each dataset: words, the teacher's confidence, predicted classes.

    Args:
        pools: ``quality.json`` files; the first of a dataset is its main pool.
        out_svg: the figure.
        out_png: the figure.
        out_csv: the plotted data.
        out_parquet: the plotted data, with provenance.

    Raises:
        GendistError: if a file is missing or damaged.
    """
    datasets = records_by_dataset([read_json(path) for path in pools])
    most = max(len(records[0]["scores"][GENERATED]["classes"]) for records in datasets.values())
    lines: list[PlotRow] = []
    with style_context():
        figure, axes = make_panels(3 * len(datasets), height=max(2.9, 1.2 + 0.24 * most))
        for place, (dataset, records) in enumerate(datasets.items()):
            of_dataset = [line for series in _series(records) for line in _plot_rows(dataset, *series)]
            for panel, measure in zip(axes[3 * place :], ("words", "confidence"), strict=False):
                _draw_quantiles(panel, [line for line in of_dataset if line["measure"] == measure])
                panel.set_xlabel("words of a row" if measure == "words" else "teacher's highest probability")
                panel.set_ylabel("rows with at most so much (%)")
            _draw_classes(axes[3 * place + 2], [line for line in of_dataset if line["measure"] == "class"])
            axes[3 * place].set_title(dataset, loc="left")
            lines += of_dataset
        shared_legend(figure, axes)
        save_figure(figure, out_svg, out_png)
    inputs = {f"pools/{i:02d}": hash_file(path) for i, path in enumerate(pools)}
    for out in (out_csv, out_parquet):
        write_plot_data(out, pa.Table.from_pylist(lines, schema=SCHEMA), Provenance("quality", inputs))


def _series(records: Sequence[PoolRecord]) -> list[tuple[str, PoolRecord, str]]:
    """Return (name, record, group of rows) of what is drawn: held-out real rows, then the pools."""
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


def _split_series(lines: Sequence[PlotRow]) -> list[tuple[str, str, str, list[PlotRow]]]:
    """Return (name, colour, marker, lines) of each series; the first, real rows, is grey."""
    looks = chain([(GREY, "x")], cycle(zip(COLOURS, MARKERS, strict=True)))
    names = dict.fromkeys(str(line["texts"]) for line in lines)
    return [
        (name, *look, [line for line in lines if line["texts"] == name])
        for name, look in zip(names, looks, strict=False)
    ]


def _draw_quantiles(panel: Axes, lines: Sequence[PlotRow]) -> None:
    ends = []
    for name, colour, marker, of_series in _split_series(lines):
        values = [float(line["value"]) for line in of_series]
        percent = [float(line["at"]) for line in of_series]
        style = "--" if marker == "x" else "-"
        panel.plot(values, percent, style, color=colour, marker=marker, markersize=4, markevery=4, label=name)
        ends.append(values[-2])
    panel.set_ylim(0, 100)
    panel.set_xlim(0, 1.05 * max(ends))  # the longest row of all would squeeze the others


def _draw_classes(panel: Axes, lines: Sequence[PlotRow]) -> None:
    labels = list(dict.fromkeys(str(line["at"]) for line in lines))
    series = _split_series(lines)
    for place, (_, colour, marker, of_series) in enumerate(series):
        shift = 0.5 * (place - (len(series) - 1) / 2) / len(series)
        places = [labels.index(str(line["at"])) + shift for line in of_series]
        shares = [float(line["value"]) for line in of_series]
        panel.plot(shares, places, marker, color=colour, markersize=5, linestyle="none")
    panel.axvline(100 / len(labels), color=GREY, linewidth=1, linestyle=":")
    panel.set_yticks(range(len(labels)), [shorten(label, 24) for label in labels])
    panel.set_ylim(len(labels) - 0.5, -0.5)  # the first class on top
    panel.set_xlim(left=0)
    panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    panel.set_xlabel("rows that the teacher takes for it (%)")
    panel.grid(axis="y", visible=False)
