"""The page's tables of one dataset, from the rows of the study's CSV files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gendist.analysis.report.costs import digits, is_exported
from gendist.analysis.report.gains import FURTHER, FURTHER_GAINS, GAINS, REGIMES
from gendist.analysis.report_page.sources import Row, Table, number, whole
from gendist.analysis.report_page.summary import p_value
from gendist.analysis.table_files import NONE, mean_and_spread
from gendist.io import escape
from gendist.stages.synthetic.detokenize import detokenize

ERRORS = 12
"""Worst errors that the page shows; the CSV has more."""
ERROR_TEXT, SAMPLE_TEXT = 400, 500
"""Characters of a text that are shown."""


@dataclass(frozen=True)
class Sample:
    """A generated text beside the real rows that are most like it."""

    row: str
    text: str
    nearest: list[tuple[str, str, str]]
    """(label, similarity, text), the nearest first."""


def systems(rows: Sequence[Row], dataset: str) -> list[dict[str, Any]]:
    """Return Table 1 of one dataset: system, accuracy, sd (percent), runs, parameters."""
    return [
        {
            "system": row["system"],
            **{key: number(row[f"{dataset} {key}"]) for key in ("accuracy", "sd", "runs", "parameters")},
        }
        for row in rows
        if row.get(f"{dataset} accuracy")
    ]


def systems_table(found: Sequence[Mapping[str, Any]], best: str | None) -> Table:
    """Lay Table 1 out; the best student stands out."""
    rows = [
        [
            row["system"],
            mean_and_spread(row["accuracy"], row["sd"]),
            f"{row['runs']:.0f}",
            NONE if row["parameters"] is None else f"{row['parameters']:,.0f}",
        ]
        for row in found
    ]
    strong = frozenset(i for i, row in enumerate(found) if row["system"] == best)
    return Table(["system", "accuracy, %", "runs", "parameters"], rows, frozenset({1, 2, 3}), strong)


def gains_table(rows: Sequence[Row]) -> Table:
    """Lay the gains out, a line per student and variant."""
    further = bool(rows) and FURTHER[0] in rows[0]
    regimes = (*REGIMES, *(FURTHER if further else ()))
    pairs = (*GAINS, *(FURTHER_GAINS if further else ()))
    header = ["student", "variant", *(f"{regime}, %" for regime in regimes)]
    header += [f"{second} - {first}" for first, second in pairs] + ["of the teacher, %"]
    lines = []
    for row in rows:
        share = number(row["gendist share of teacher"])
        means = [mean_and_spread(number(row[regime]), number(row[f"{regime} sd"])) for regime in regimes]
        tests = [_difference(row, f"{second} - {first} ") for first, second in pairs]
        lines.append([row["student"], row["variant"], *means, *tests, NONE if share is None else f"{share:.1f}"])
    return Table(header, lines, frozenset(range(2, len(header))))


def labelling_table(rows: Sequence[Row]) -> Table:
    """Lay Table 2 out: hard labels against distillation."""
    header = ["student", "generated rows", "hard labels, %", "distillation, %", "difference"]
    lines = [
        [
            row["student"],
            whole(row["n_synthetic"]),
            *(_with_error(row, name) for name in ("hard", "distilled")),
            _difference(row, ""),
        ]
        for row in rows
    ]
    return Table(header, lines, frozenset({1, 2, 3, 4}))


def samplings_table(rows: Sequence[Row]) -> Table:
    """Lay the sampling comparison out, a line per strategy."""
    seen: dict[str, list[str]] = {}
    for row in rows:
        shown = mean_and_spread(number(row["mean"]), number(row["sd"]))
        seen.setdefault(row["sampling"], [row["sampling"], whole(row["n_synthetic"]), shown])
    return Table(["sampling", "generated rows", "accuracy, %"], list(seen.values()), frozenset({1, 2}))


def classes_table(rows: Sequence[Row]) -> Table:
    """Lay precision, recall and F1 of the classes out, with their intervals."""
    header = ["class", "test rows", "precision, %", "recall, %", "F1, %"]
    lines = [
        [row["class"], whole(row["rows"]), *(_interval(row, score) for score in ("precision", "recall", "f1"))]
        for row in rows
    ]
    return Table(header, lines, frozenset({1, 2, 3, 4}))


def worst_errors(rows: Sequence[Row]) -> list[Row]:
    """Return the surest errors, long texts cut."""
    return [
        {**row, "probability": f"{float(row['probability']):.0f}", "text": escape.shorten(row["text"], ERROR_TEXT)}
        for row in rows[:ERRORS]
    ]


def samples(rows: Sequence[Row]) -> list[Sample]:
    """Group Table 4 by generated row: generated texts detokenised, long texts cut."""
    found: dict[str, Sample] = {}
    for row in rows:
        text = escape.shorten(detokenize(row["generated text"]), SAMPLE_TEXT)
        sample = found.setdefault(row["row"], Sample(whole(row["row"]), text, []))
        near = escape.shorten(row["training text"], SAMPLE_TEXT)
        sample.nearest.append((row["label"], f"{float(row['similarity']):.2f}", near))
    return list(found.values())


def plain_table(rows: Sequence[Row]) -> Table:
    """Lay any rows of one dataset out as they are; columns of numbers go to the right."""
    header = [key for key in rows[0] if key != "dataset"]
    lines = [[row[key] or NONE for key in header] for row in rows]
    right = frozenset(i for i, _ in enumerate(header) if all(_is_number(line[i]) for line in lines))
    return Table(header, [[_short(cell) for cell in line] for line in lines], right)


def costs_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Lay size, latency and throughput of the systems out."""
    header = ["system", "size, MB", "median ms", "95 % under, ms", "rows / s"]
    lines = []
    for row in rows:
        size = row["size_bytes"]
        cells = [NONE if size is None else digits(size / 1e6)]
        for key in ("latency_p50_ms", "latency_p95_ms", "rows_per_second"):
            cells.append(NONE if row[key] is None else digits(row[key]))
        lines.append([f"{row['system']}, as deployed" if is_exported(row) else str(row["system"]), *cells])
    return Table(header, lines, frozenset({1, 2, 3, 4}))


def _difference(row: Row, prefix: str) -> str:
    difference = number(row[f"{prefix}difference"])
    if difference is None:
        return NONE
    p = number(row[f"{prefix}p"])
    return f"{difference:+.1f}" + ("" if p is None else f" ({p_value(p)})")


def _with_error(row: Row, name: str) -> str:
    return mean_and_spread(number(row[name]), number(row[f"{name} standard error"]), digits=2)


def _interval(row: Row, score: str) -> str:
    value, low, high = (number(row[key]) for key in (score, f"{score} low", f"{score} high"))
    if value is None:
        return NONE
    return f"{value:.1f}" + ("" if low is None or high is None else f" [{low:.1f}, {high:.1f}]")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell == NONE
    return True


def _short(cell: str) -> str:
    if not _is_number(cell) or cell == NONE:
        return escape.shorten(cell, SAMPLE_TEXT)
    value = float(cell)
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"
