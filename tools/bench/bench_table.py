"""Tables of the benchmarks: Markdown, Parquet and a plot."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import pyarrow as pa

from gendist.analysis.figure_style import BLUE, GREY, save_figure, style_context
from gendist.analysis.report.class_plots import new_figure
from gendist.io.atomic_files import write_text
from gendist.io.parquet import write_parquet
from gendist.io.provenance import Provenance
from tools.bench.timed_pairs import Outcome

SCHEMA = pa.schema(
    [
        ("what", pa.string()),
        ("compared_with", pa.string()),
        ("unit", pa.string()),
        ("rounds", pa.int64()),
        ("rate", pa.float64()),
        ("their_rate", pa.float64()),
        ("ratio", pa.float64()),
        ("ratio_min", pa.float64()),
        ("ratio_max", pa.float64()),
        ("goal", pa.float64()),
        ("checks", pa.list_(pa.struct([("what", pa.string()), ("value", pa.float64()), ("limit", pa.float64())]))),
    ]
)
"""Rates are medians over the rounds in units per second, of CPU time or wall clock; ratios are ours / theirs."""


def write_outcomes(outcomes: Sequence[Outcome], folder: Path) -> None:
    """Write ``bench.parquet``, ``bench.md``, ``bench.svg`` and ``bench.png``."""
    write_parquet(
        folder / "bench.parquet", pa.Table.from_pylist([_row(o) for o in outcomes], SCHEMA), Provenance("bench")
    )
    write_text(folder / "bench.md", markdown(outcomes))
    with style_context():
        figure, axes = new_figure(7.0, 0.9 + 0.32 * len(outcomes))
        for y, outcome in enumerate(outcomes):
            axes.plot([min(outcome.ratios), max(outcome.ratios)], [y] * 2, color=BLUE, linewidth=1.4)
            axes.plot([outcome.ratio], [y], "o", color=BLUE, label=None if y else "measured")
            if outcome.case.goal is not None:
                axes.plot([outcome.case.goal], [y], "|", color=GREY, markersize=12, label=None if y else "goal")
        axes.axvline(1.0, color=GREY, linewidth=0.8)
        names = [f"{outcome.case.name}\nagainst {outcome.case.baseline}" for outcome in outcomes]
        axes.set_yticks(range(len(outcomes)), names, fontsize=6)
        axes.set(xscale="log", ylim=(len(outcomes) - 0.5, -0.5), xlabel="times as fast")
        save_figure(figure, folder / "bench.svg", folder / "bench.png")


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Return the table as Markdown."""
    lines = ["| what | compared with | ours, 1/s | theirs, 1/s | ratio (range) | goal | checks |"]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: | --- |")
    for outcome in outcomes:
        case = outcome.case
        checks = "; ".join(
            f"{check.what} {check.value:.3g} ≤ {check.limit:g}" + ("" if check.passed else " FAILED")
            for check in case.checks
        )
        rates = f"{median(outcome.ours):,.0f} {case.unit} | {median(outcome.theirs):,.0f}"
        ratio = f"{outcome.ratio:.2f} ({min(outcome.ratios):.2f} to {max(outcome.ratios):.2f})"
        goal = "" if case.goal is None else f"{case.goal:g}"
        lines.append(f"| {case.name} | {case.baseline} | {rates} | {ratio} | {goal} | {checks} |")
    return "\n".join(lines) + "\n"


def _row(outcome: Outcome) -> dict[str, object]:
    case = outcome.case
    return {
        "what": case.name,
        "compared_with": case.baseline,
        "unit": case.unit,
        "rounds": len(outcome.ratios),
        "rate": median(outcome.ours),
        "their_rate": median(outcome.theirs),
        "ratio": outcome.ratio,
        "ratio_min": min(outcome.ratios),
        "ratio_max": max(outcome.ratios),
        "goal": case.goal,
        "checks": [{"what": check.what, "value": check.value, "limit": check.limit} for check in case.checks],
    }
