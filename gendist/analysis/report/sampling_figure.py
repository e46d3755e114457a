"""Figure: comparison of sampling strategies (future work in the paper, section 4.2)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from matplotlib.axes import Axes

from gendist.analysis.figure_style import BLUE, GREY, make_panels, save_figure, shared_legend, style_context
from gendist.analysis.metrics_table import MetricsRow, hash_scores, read_runs, round_score, select_runs, summarise
from gendist.analysis.table_files import write_plot_data
from gendist.errors import GendistError
from gendist.io.provenance import Provenance

SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("system", pa.string()),
        ("sampling", pa.string()),
        ("n_synthetic", pa.int64()),
        ("seed", pa.int64()),
        ("accuracy", pa.float64()),
        ("mean", pa.float64()),
        ("sd", pa.float64()),
    ]
)
"""The plotted data, a row per run. accuracy, and mean and sd over the seeds, in percent."""


def draw_sampling(
    metrics: Path,
    *,
    system: str,
    samplings: Sequence[str],
    counts: Mapping[str, int],
    main: Mapping[str, str],
    out_svg: Path,
    out_png: Path,
    out_csv: Path,
    out_parquet: Path,
) -> None:
    """Plot the accuracy of one system under each sampling strategy, a panel per dataset.

    Shows single runs, mean and standard deviation over seeds. Omits strategies and datasets without runs.

    Args:
        metrics: ``metrics.parquet``.
        system: name of the system, such as ``kim+gendist``.
        samplings: names of the strategies, top to bottom.
        counts: synthetic rows by dataset, in order.
        main: names of teacher, generator and training; the sampling is ignored.
        out_svg: the figure.
        out_png: the figure.
        out_csv: the plotted data.
        out_parquet: the plotted data, with provenance.

    Raises:
        GendistError: if there are no runs.
    """
    runs = read_runs(metrics)
    found = {
        dataset: {
            name: select_runs(runs, dataset, system, main={**main, "sampling": name}, count=count) for name in samplings
        }
        for dataset, count in counts.items()
    }
    shown = {dataset: {name: group for name, group in groups.items() if group} for dataset, groups in found.items()}
    shown = {dataset: groups for dataset, groups in shown.items() if groups}
    if not shown:
        raise GendistError(f"{metrics}: no run of {system} with {', '.join(samplings)} on {', '.join(counts)}")
    rows = []
    with style_context():
        most = max(len(groups) for groups in shown.values())
        figure, axes = make_panels(len(shown), height=1.3 + 0.5 * most)
        for panel, (dataset, groups) in zip(axes, shown.items(), strict=True):
            draw_strategies(panel, groups)
            panel.set_title(f"{dataset}, {counts[dataset]:,} generated rows")
            panel.set_xlabel(f"test accuracy of {system} (%)")
            for name, group in groups.items():
                rows += _records(dataset, name, group)
        shared_legend(figure, axes)
        save_figure(figure, out_svg, out_png)
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    for out in (out_csv, out_parquet):
        write_plot_data(out, table, Provenance("report", inputs={"metrics": hash_scores(runs)}))


def draw_strategies(panel: Axes, groups: Mapping[str, Sequence[MetricsRow]]) -> None:
    """Draw the runs of each strategy, with mean and standard deviation, top to bottom."""
    for index, group in enumerate(groups.values()):
        summary = summarise(group)
        if summary is None:
            continue
        accuracies = [run["accuracy"] * 100 for run in group]
        panel.plot(accuracies, [index + 0.2] * len(group), "o", color=GREY, alpha=0.6, markersize=4, label="single run")
        panel.errorbar(
            [summary.mean],
            [index - 0.08],
            xerr=None if summary.sd is None else [summary.sd],
            fmt="o",
            color=BLUE,
            markersize=8,
            capsize=4,
            elinewidth=1.8,
            label="mean ± standard deviation",
        )
    panel.set_yticks(range(len(groups)), list(groups))
    panel.set_ylim(len(groups) - 0.5, -0.5)  # first strategy on top
    panel.grid(axis="y", visible=False)
    panel.margins(x=0.1)


def _records(dataset: str, sampling: str, group: Sequence[MetricsRow]) -> list[dict[str, str | int | float | None]]:
    summary = summarise(group)
    return [
        {
            "dataset": dataset,
            "system": run["system"],
            "sampling": sampling,
            "n_synthetic": run["n_synthetic"],
            "seed": run["seed"],
            "accuracy": round_score(run["accuracy"] * 100),
            "mean": round_score(summary.mean if summary else None),
            "sd": round_score(summary.sd if summary else None),
        }
        for run in group
    ]
