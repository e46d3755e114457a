"""Tables of the page for one dataset, from CSV rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gendist.analysis.report.costs_table import is_exported_model, three_digits
from gendist.analysis.report.gains_table import GAINS, REGIMES, UNLABELLED_GAINS, UNLABELLED_REGIMES
from gendist.analysis.report_page.page_summary import format_p_value
from gendist.analysis.report_page.report_inputs import CsvRow, PageTable, format_count, parse_number
from gendist.analysis.table_files import MISSING, format_mean
from gendist.io import escape
from gendist.stages.synthetic.detokenize import detokenize

MAX_ERRORS = 12
"""Maximum number of errors on the page; the CSV has more."""
MAX_ERROR_LENGTH, MAX_SAMPLE_LENGTH = 400, 500
"""Characters; longer texts are truncated."""


@dataclass(frozen=True)
class Sample:
    """A generated text with its nearest real rows."""

    row: str
    text: str
    nearest: list[tuple[str, str, str]]
    """(label, similarity, text), nearest first."""


def read_systems(rows: Sequence[CsvRow], dataset: str) -> list[dict[str, Any]]:
    """Return Table 1 of one dataset: system, accuracy, sd (percent), runs, parameters."""
    return [
        {
            "system": row["system"],
            **{key: parse_number(row[f"{dataset} {key}"]) for key in ("accuracy", "sd", "runs", "parameters")},
        }
        for row in rows
        if row.get(f"{dataset} accuracy")
    ]


def systems_table(found: Sequence[Mapping[str, Any]], best: str | None) -> PageTable:
    """Return Table 1, with the best student highlighted."""
    rows = [
        [
            row["system"],
            format_mean(row["accuracy"], row["sd"]),
            f"{row['runs']:.0f}",
            MISSING if row["parameters"] is None else f"{row['parameters']:,.0f}",
        ]
        for row in found
    ]
    strong = frozenset(i for i, row in enumerate(found) if row["system"] == best)
    return PageTable(["system", "accuracy, %", "runs", "parameters"], rows, frozenset({1, 2, 3}), strong)


def gains_table(rows: Sequence[CsvRow]) -> PageTable:
    """Return the gains table, a row per student and variant."""
    with_unlabelled = bool(rows) and UNLABELLED_REGIMES[0] in rows[0]
    regimes = (*REGIMES, *(UNLABELLED_REGIMES if with_unlabelled else ()))
    pairs = (*GAINS, *(UNLABELLED_GAINS if with_unlabelled else ()))
    header = ["student", "variant", *(f"{regime}, %" for regime in regimes)]
    header += [f"{second} - {first}" for first, second in pairs] + ["of the teacher, %"]
    lines = []
    for row in rows:
        share = parse_number(row["gendist share of teacher"])
        means = [format_mean(parse_number(row[regime]), parse_number(row[f"{regime} sd"])) for regime in regimes]
        tests = [_format_difference(row, f"{second} - {first} ") for first, second in pairs]
        lines.append([row["student"], row["variant"], *means, *tests, MISSING if share is None else f"{share:.1f}"])
    return PageTable(header, lines, frozenset(range(2, len(header))))


def labelling_table(rows: Sequence[CsvRow]) -> PageTable:
    """Return Table 2: hard labels against distillation."""
    header = ["student", "generated rows", "hard labels, %", "distillation, %", "difference"]
    lines = [
        [
            row["student"],
            format_count(row["n_synthetic"]),
            *(_format_with_error(row, name) for name in ("hard", "distilled")),
            _format_difference(row, ""),
        ]
        for row in rows
    ]
    return PageTable(header, lines, frozenset({1, 2, 3, 4}))


def samplings_table(rows: Sequence[CsvRow]) -> PageTable:
    """Return the sampling comparison, a row per strategy."""
    by_sampling: dict[str, list[str]] = {}
    for row in rows:
        shown = format_mean(parse_number(row["mean"]), parse_number(row["sd"]))
        by_sampling.setdefault(row["sampling"], [row["sampling"], format_count(row["n_synthetic"]), shown])
    return PageTable(["sampling", "generated rows", "accuracy, %"], list(by_sampling.values()), frozenset({1, 2}))


def classes_table(rows: Sequence[CsvRow]) -> PageTable:
    """Return precision, recall and F1 of each class, with confidence intervals."""
    header = ["class", "test rows", "precision, %", "recall, %", "F1, %"]
    lines = [
        [
            row["class"],
            format_count(row["rows"]),
            *(_format_interval(row, score) for score in ("precision", "recall", "f1")),
        ]
        for row in rows
    ]
    return PageTable(header, lines, frozenset({1, 2, 3, 4}))


def worst_errors(rows: Sequence[CsvRow]) -> list[CsvRow]:
    """Return the most confident errors, with truncated texts."""
    return [
        {
            **row,
            "probability": f"{float(row['probability']):.0f}",
            "text": escape.shorten(row["text"], MAX_ERROR_LENGTH),
        }
        for row in rows[:MAX_ERRORS]
    ]


def group_samples(rows: Sequence[CsvRow]) -> list[Sample]:
    """Group Table 4 by generated row, with detokenised and truncated texts."""
    found: dict[str, Sample] = {}
    for row in rows:
        text = escape.shorten(detokenize(row["generated text"]), MAX_SAMPLE_LENGTH)
        sample = found.setdefault(row["row"], Sample(format_count(row["row"]), text, []))
        nearest_text = escape.shorten(row["training text"], MAX_SAMPLE_LENGTH)
        sample.nearest.append((row["label"], f"{float(row['similarity']):.2f}", nearest_text))
    return list(found.values())


def plain_table(rows: Sequence[CsvRow]) -> PageTable:
    """Return any CSV rows of one dataset as a table; numeric columns are right-aligned."""
    header = [key for key in rows[0] if key != "dataset"]
    lines = [[row[key] or MISSING for key in header] for row in rows]
    right = frozenset(i for i, _ in enumerate(header) if all(_is_number(line[i]) for line in lines))
    return PageTable(header, [[_format_cell(cell) for cell in line] for line in lines], right)


def costs_table(rows: Sequence[Mapping[str, Any]]) -> PageTable:
    """Return size, latency and throughput of the systems."""
    header = ["system", "size, MB", "median ms", "95 % under, ms", "rows / s"]
    lines = []
    for row in rows:
        size = row["size_bytes"]
        cells = [MISSING if size is None else three_digits(size / 1e6)]
        for key in ("latency_p50_ms", "latency_p95_ms", "rows_per_second"):
            cells.append(MISSING if row[key] is None else three_digits(row[key]))
        lines.append([f"{row['system']}, as deployed" if is_exported_model(row) else str(row["system"]), *cells])
    return PageTable(header, lines, frozenset({1, 2, 3, 4}))


def _format_difference(row: CsvRow, prefix: str) -> str:
    difference = parse_number(row[f"{prefix}difference"])
    if difference is None:
        return MISSING
    p = parse_number(row[f"{prefix}p"])
    return f"{difference:+.1f}" + ("" if p is None else f" ({format_p_value(p)})")


def _format_with_error(row: CsvRow, name: str) -> str:
    return format_mean(parse_number(row[name]), parse_number(row[f"{name} standard error"]), digits=2)


def _format_interval(row: CsvRow, score: str) -> str:
    value, low, high = (parse_number(row[key]) for key in (score, f"{score} low", f"{score} high"))
    if value is None:
        return MISSING
    return f"{value:.1f}" + ("" if low is None or high is None else f" [{low:.1f}, {high:.1f}]")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell == MISSING
    return True


def _format_cell(cell: str) -> str:
    if not _is_number(cell) or cell == MISSING:
        return escape.shorten(cell, MAX_SAMPLE_LENGTH)
    value = float(cell)
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"
