"""Table 1: accuracy and size of every system (paper, Table 1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gendist.analysis.metrics_table import MetricsRow, Summary, read_runs, round_score, select_runs, summarise
from gendist.analysis.report import paper_results
from gendist.analysis.table_files import MISSING, Cell, format_mean, markdown_table, write_csv
from gendist.errors import GendistError
from gendist.io import escape
from gendist.io.atomic_files import write_text
from gendist.naming import WITH_SYNTHETIC, WITH_UNLABELLED, regime_of


@dataclass(frozen=True)
class _Entry:
    """Results of one system on one dataset."""

    accuracy: Summary
    parameters: int | None


_Table = dict[str, dict[str, _Entry | None]]
"""Entries by system, then dataset."""


def write_table1(
    metrics: Path,
    *,
    systems: Sequence[str],
    counts: Mapping[str, int],
    main: Mapping[str, str],
    out_csv: Path,
    out_md: Path,
    out_tex: Path,
) -> None:
    """Write mean and standard deviation of the accuracy over seeds, in percent, and numbers of parameters.

    Omits systems and datasets without runs. Datasets of the paper have additional columns with its results (PAPER).

    Args:
        metrics: ``metrics.parquet``.
        systems: rows, in order.
        counts: synthetic rows by dataset, in order.
        main: names of teacher, generator, sampling and training.
        out_csv: all numbers.
        out_md: the table in Markdown.
        out_tex: the table in LaTeX (booktabs and graphicx).

    Raises:
        GendistError: if there are no runs, or runs of one cell differ in parameters.
    """
    runs = read_runs(metrics)
    table: _Table = {
        s: {d: _entry(select_runs(runs, d, s, main=main, count=n), metrics) for d, n in counts.items()} for s in systems
    }
    table = {system: entries for system, entries in table.items() if any(entries.values())}
    datasets = [dataset for dataset in counts if any(entries[dataset] for entries in table.values())]
    if not table:
        raise GendistError(f"{metrics}: no run of {', '.join(systems)} on {', '.join(counts)}")
    caption = _caption(table, datasets, counts, _unlabelled(runs, datasets))
    write_csv(out_csv, *_csv(table, datasets))
    write_text(out_md, _markdown(table, datasets, caption))
    write_text(out_tex, _latex(table, datasets, caption))


def _entry(runs: Sequence[MetricsRow], metrics: Path) -> _Entry | None:
    summary = summarise(runs)
    if summary is None:
        return None
    sizes = {run["n_parameters"] for run in runs}
    # The number of parameters does not depend on the seed.
    if len(sizes) > 1:
        raise GendistError(f"{metrics}: runs of {runs[0]['system']} on {runs[0]['dataset']} differ in n_parameters")
    return _Entry(summary, sizes.pop())


def _in_paper(datasets: Sequence[str]) -> bool:
    return any(dataset in paper_results.DATASETS for dataset in datasets)


def _paper_accuracy(system: str, dataset: str) -> float | None:
    row = paper_results.TABLE1.get(system)
    return row.accuracy.get(dataset) if row else None


def _paper_parameters(system: str) -> float | None:
    row = paper_results.TABLE1.get(system)
    return row.parameters if row else None


def _unlabelled(runs: Sequence[MetricsRow], datasets: Sequence[str]) -> dict[str, int]:
    """Return the largest number of unlabelled rows by dataset; omits datasets without."""
    found = {
        name: max((run["n_unlabelled"] or 0 for run in runs if run["dataset"] == name), default=0) for name in datasets
    }
    return {name: count for name, count in found.items() if count}


def _caption(table: _Table, datasets: Sequence[str], counts: Mapping[str, int], unlabelled: Mapping[str, int]) -> str:
    parts = [
        "Accuracy on the test rows in percent: mean ± standard deviation over runs with different seeds"
        " (single runs have no ±), the number of runs, and the exact number of learned parameters."
    ]
    if any(regime_of(system) in WITH_SYNTHETIC for system in table):
        rows = ", ".join(f"{counts[dataset]:,} ({dataset})" for dataset in datasets)
        parts.append(f"Synthetic rows of the systems that take them: {rows}.")
    if any(regime_of(system) in WITH_UNLABELLED for system in table):
        rows = ", ".join(f"{count:,} ({dataset})" for dataset, count in unlabelled.items())
        parts.append(f"Real rows without labels of the systems with +unlabelled: {rows}.")
    if _in_paper(datasets):
        parts.append(
            "Columns marked PAPER are the numbers that the paper reports for its own models and data"
            " (Melas-Kyriazi et al. 2019, Table 1; its parameters in thousands)."
        )
    return " ".join(parts)


def _csv(table: _Table, datasets: Sequence[str]) -> tuple[list[str], list[list[Cell]]]:
    header = ["system"]
    for dataset in datasets:
        header += [f"{dataset} {what}" for what in ("accuracy", "sd", "runs", "parameters")]
        header += [f"PAPER ({dataset})"] if dataset in paper_results.DATASETS else []
    header += ["PAPER parameters (1000s)"] if _in_paper(datasets) else []
    rows: list[list[Cell]] = []
    for system, entries in table.items():
        row: list[Cell] = [system]
        for dataset in datasets:
            entry = entries[dataset]
            if entry is None:
                row += [None, None, None, None]
            else:
                accuracy = entry.accuracy
                row += [round_score(accuracy.mean), round_score(accuracy.sd), accuracy.runs, entry.parameters]
            row += [_paper_accuracy(system, dataset)] if dataset in paper_results.DATASETS else []
        row += [_paper_parameters(system)] if _in_paper(datasets) else []
        rows.append(row)
    return header, rows


def _text_rows(table: _Table, datasets: Sequence[str]) -> list[list[str]]:
    """Return the cells of Markdown and LaTeX, not escaped."""
    rows = []
    for system, entries in table.items():
        row = [system]
        for dataset in datasets:
            entry = entries[dataset]
            if entry is None:
                row += [MISSING, MISSING, MISSING]
            else:
                size = MISSING if entry.parameters is None else f"{entry.parameters:,}"
                row += [format_mean(entry.accuracy.mean, entry.accuracy.sd), str(entry.accuracy.runs), size]
            if dataset in paper_results.DATASETS:
                accuracy = _paper_accuracy(system, dataset)
                row.append("" if accuracy is None else f"{accuracy:.1f}")
        if _in_paper(datasets):
            thousands = _paper_parameters(system)
            row.append("" if thousands is None else f"{thousands:,}")
        rows.append(row)
    return rows


def _markdown(table: _Table, datasets: Sequence[str], caption: str) -> str:
    header = ["System"]
    for dataset in datasets:
        header += [f"{dataset}, %", "runs", "parameters"]
        header += [f"PAPER ({dataset})"] if dataset in paper_results.DATASETS else []
    header += ["PAPER parameters (1000s)"] if _in_paper(datasets) else []
    rows = [[escape.markdown(cell) for cell in row] for row in _text_rows(table, datasets)]
    body = markdown_table([escape.markdown(name) for name in header], rows, align_right=range(1, len(header)))
    return f"**Table 1.** {escape.markdown(caption)}\n\n{body}"


def _latex(table: _Table, datasets: Sequence[str], caption: str) -> str:
    groups, names, rules, column = [""], ["System"], [], 2
    for dataset in datasets:
        group = ["accuracy", "runs", "parameters", *(["PAPER"] if dataset in paper_results.DATASETS else [])]
        groups.append(rf"\multicolumn{{{len(group)}}}{{c}}{{{escape.latex(dataset)}}}")
        rules.append(rf"\cmidrule(lr){{{column}-{column + len(group) - 1}}}")
        names += group
        column += len(group)
    if _in_paper(datasets):
        groups.append("PAPER")
        names.append("parameters (1000s)")
    lines = [
        "% needs \\usepackage{booktabs,graphicx}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape.latex(caption)}}}",
        r"\resizebox{\textwidth}{!}{%",
        rf"\begin{{tabular}}{{l{'r' * (len(names) - 1)}}}",
        r"\toprule",
        " & ".join(groups) + r" \\",
        " ".join(rules),
        " & ".join(names) + r" \\",
        r"\midrule",
        *(" & ".join(map(escape.latex, row)) + r" \\" for row in _text_rows(table, datasets)),
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"
