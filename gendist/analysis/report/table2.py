"""Table 2: hard labels against distillation on generated rows (paper, Table 2)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gendist.analysis.metrics_table import MetricsRow, read_runs, round_score, select_runs, summarise
from gendist.analysis.report import paper_results
from gendist.analysis.report.paired_test import paired_t_test
from gendist.analysis.table_files import Cell, format_mean, format_seeds, markdown_table, write_csv
from gendist.errors import GendistError
from gendist.io import escape
from gendist.io.atomic_files import write_text

HEADER = [
    "dataset",
    "student",
    "n_synthetic",
    "hard",
    "hard standard error",
    "hard runs",
    "distilled",
    "distilled standard error",
    "distilled runs",
    "difference",
    "pairs",
    "t",
    "p",
]
PAPER_HEADER = ["PAPER hard", "PAPER hard standard error", "PAPER distilled", "PAPER distilled standard error"]


def write_table2(
    metrics: Path, *, student: str, counts: Mapping[str, int], main: Mapping[str, str], out_csv: Path, out_md: Path
) -> None:
    """Compare ``{student}+hard`` with ``{student}+gendist`` over seeds, in percent.

    The difference and the two-sided paired t-test are over shared seeds. The test is empty for fewer than two pairs, or
    if all differences are equal.

    Args:
        metrics: ``metrics.parquet``.
        student: name of the student.
        counts: synthetic rows by dataset, in order.
        main: names of teacher, generator, sampling and training.
        out_csv: all numbers.
        out_md: the table in Markdown.

    Raises:
        GendistError: if there are no runs.
    """
    runs = read_runs(metrics)
    rows = []
    for dataset, count in counts.items():
        hard = select_runs(runs, dataset, f"{student}+hard", main=main, count=count)
        distilled = select_runs(runs, dataset, f"{student}+gendist", main=main, count=count)
        if hard or distilled:
            rows.append(_row(dataset=dataset, student=student, count=count, hard_runs=hard, distilled_runs=distilled))
    if not rows:
        raise GendistError(f"{metrics}: no run of {student}+hard or {student}+gendist on {', '.join(counts)}")
    with_paper = any(row["dataset"] in paper_results.TABLE2 for row in rows)
    header = HEADER + (PAPER_HEADER if with_paper else [])
    write_csv(out_csv, header, [[row.get(name) for name in header] for row in rows])
    write_text(out_md, _markdown(rows, student, with_paper))


def _row(
    *, dataset: str, student: str, count: int, hard_runs: Sequence[MetricsRow], distilled_runs: Sequence[MetricsRow]
) -> dict[str, Cell]:
    hard, distilled = summarise(hard_runs), summarise(distilled_runs)
    row: dict[str, Cell] = {"dataset": dataset, "student": student, "n_synthetic": count}
    for name, summary in (("hard", hard), ("distilled", distilled)):
        row[name] = round_score(summary.mean if summary else None)
        row[f"{name} standard error"] = round_score(summary.error if summary else None)
        row[f"{name} runs"] = summary.runs if summary else 0
    row |= paired_t_test(hard_runs, distilled_runs).cells()
    if dataset in paper_results.TABLE2:
        row |= dict(zip(PAPER_HEADER, paper_results.TABLE2[dataset], strict=True))
    return row


def _markdown(rows: Sequence[Mapping[str, Cell]], student: str, with_paper: bool) -> str:
    header = ["Dataset", "synthetic rows", "hard labels, %", "distillation, %", "difference", "p", "runs"]
    header += ["PAPER (Kim): hard labels", "PAPER (Kim): distillation"] if with_paper else []
    cells = []
    for row in rows:
        difference, p = row.get("difference"), row.get("p")
        line = [
            escape.markdown(str(row["dataset"])),
            f"{row['n_synthetic']:,}",
            _with_error(row, "hard"),
            _with_error(row, "distilled"),
            "" if difference is None else f"{difference:+.1f}",
            "" if p is None else f"{p:.2g} (n = {row['pairs']})",
            _runs(row),
        ]
        if with_paper:
            known = row["dataset"] in paper_results.TABLE2
            line += [_with_error(row, name) if known else "" for name in ("PAPER hard", "PAPER distilled")]
        cells.append(line)
    seeds = format_seeds(int(row[name] or 0) for row in rows for name in ("hard runs", "distilled runs") if row[name])
    caption = (
        f"Two ways of labelling the generated rows for the student {student}: the teacher's most probable class"
        " with cross-entropy (hard labels), or its logits (distillation). Accuracy on the test rows in percent,"
        f" mean ± standard error over {seeds}; the difference and the two-sided paired t-test are over the n seeds"
        " that both have."
    )
    if with_paper:
        caption += (
            " Columns marked PAPER are what the paper reports for its Kim student over 5 restarts"
            " (Melas-Kyriazi et al. 2019, Table 2)."
        )
    return (
        f"**Table 2.** {escape.markdown(caption)}\n\n{markdown_table(header, cells, align_right=range(1, len(header)))}"
    )


def _runs(row: Mapping[str, Cell]) -> str:
    hard, distilled = row["hard runs"], row["distilled runs"]
    return str(hard) if hard == distilled else f"{hard}, {distilled}"


def _with_error(row: Mapping[str, Cell], name: str) -> str:
    mean, error = row[name], row[f"{name} standard error"]
    return format_mean(mean if isinstance(mean, float) else None, error if isinstance(error, float) else None, digits=2)
