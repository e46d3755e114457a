"""Compare studies: mean accuracy of the same systems, with paired tests over shared seeds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gendist.analysis.metrics_table import MetricsRow, Summary, read_runs, round_score, summarise
from gendist.analysis.report.paired_test import PairedTest, paired_t_test
from gendist.analysis.table_files import MISSING, Cell, format_mean, markdown_table, write_csv
from gendist.errors import GendistError
from gendist.io import escape
from gendist.io.atomic_files import write_text

METRICS = "metrics.parquet"
SCORES = ("accuracy", "macro_f1")
LARGEST_COUNT = -1
"""Placeholder for the largest number of synthetic rows in a study, so that studies of different sizes compare."""

SystemKey = tuple[str, str, str, int]
"""Dataset, system, variant and synthetic rows (or ``LARGEST_COUNT``); runs with equal keys are compared."""


@dataclass(frozen=True)
class ComparedStudy:
    """Name and runs of a study."""

    name: str
    runs: Sequence[MetricsRow]


@dataclass(frozen=True)
class ComparedSystem:
    """Results of one system in every study."""

    key: SystemKey
    counts: list[int | None]
    """Synthetic rows in each study; None if the study does not have the system."""
    summaries: list[Summary | None]
    """Accuracy in each study, in order."""
    gains: list[PairedTest]
    """Test of each later study against the first."""

    @property
    def gain(self) -> float:
        """Largest absolute difference from the first study; -1 without pairs."""
        found = [abs(gain.difference) for gain in self.gains if gain.difference is not None]
        return max(found, default=-1.0)


def find_metrics(path: Path) -> Path:
    """Return the ``metrics.parquet`` of a results folder or a config, or the file itself.

    Raises:
        GendistError: if the file does not exist.
    """
    if path.suffix in (".yaml", ".yml"):
        from gendist.config import load_study

        found = Path(load_study(path).results) / METRICS
        if not found.is_file():
            raise GendistError(f"{path}: {found} does not exist; run the study first: gendist run {path}")
        return found
    found = path / METRICS if path.is_dir() else path
    if not found.is_file() or found.suffix != ".parquet":
        raise GendistError(f"{path}: expected a results folder with {METRICS}, or a config")
    return found


def read_studies(paths: Sequence[Path], score: str = "accuracy") -> list[ComparedStudy]:
    """Read studies, named by folder or config, or by path if names clash.

    Args:
        paths: results folders or configs.
        score: metric to compare, one of ``SCORES``.

    Raises:
        GendistError: if a study has no metrics, or is given twice.
    """
    tables = [find_metrics(path) for path in paths]
    for path, table in zip(paths, tables, strict=True):
        if sum(table.samefile(other) for other in tables) > 1:
            raise GendistError(f"{path}: given twice; expected different studies")
    scored = [[{**run, "accuracy": run[score]} for run in read_runs(table)] for table in tables]
    return [ComparedStudy(name, runs) for name, runs in zip(_study_names(paths), scored, strict=True)]


def _study_names(paths: Sequence[Path]) -> list[str]:
    names = [path.stem if path.suffix in (".yaml", ".yml") else path.name for path in paths]
    return names if len(set(names)) == len(names) and all(names) else [str(path) for path in paths]


def compare_studies(studies: Sequence[ComparedStudy]) -> list[ComparedSystem]:
    """Compare all systems, sorted by dataset and descending difference.

    Runs are paired by dataset, system, variant, seed and number of synthetic rows. The largest numbers of two studies
    are paired with each other.
    """
    by_key = [_runs_by_system(study.runs) for study in studies]
    keys = list(dict.fromkeys(key for runs in by_key for key in runs))
    lines = [_compare_system(key, by_key) for key in keys]
    return sorted(lines, key=lambda line: (line.key[0], -line.gain, line.key))


def _runs_by_system(runs: Sequence[MetricsRow]) -> dict[SystemKey, list[MetricsRow]]:
    unlabelled: dict[str, int] = {}
    for run in runs:
        unlabelled[run["dataset"]] = max(unlabelled.get(run["dataset"], 0), run["n_unlabelled"] or 0)
    systems = [_system_key(run, unlabelled) for run in runs]
    most: dict[tuple[str, str, str], int] = {}
    for system, run in zip(systems, runs, strict=True):
        most[system] = max(most.get(system, 0), run["n_synthetic"] or 0)
    grouped: dict[SystemKey, list[MetricsRow]] = {}
    for system, run in zip(systems, runs, strict=True):
        count = run["n_synthetic"] or 0
        grouped.setdefault((*system, LARGEST_COUNT if count == most[system] else count), []).append(run)
    return grouped


def _system_key(run: MetricsRow, most: Mapping[str, int]) -> tuple[str, str, str]:
    system, unlabelled = run["system"], run["n_unlabelled"] or 0
    if unlabelled < most.get(run["dataset"], 0) and unlabelled:
        system += f" ({unlabelled:,} unlabelled rows)"
    # A teacher has no variant; its name identifies it.
    return run["dataset"], system, run["variant"] or run["teacher"] or ""


def _compare_system(key: SystemKey, by_key: Sequence[Mapping[SystemKey, Sequence[MetricsRow]]]) -> ComparedSystem:
    first, *others = [runs.get(key, ()) for runs in by_key]
    counts = [runs[0]["n_synthetic"] or 0 if runs else None for runs in (first, *others)]
    gains = [paired_t_test(first, other) for other in others]
    return ComparedSystem(key, counts, [summarise(runs) for runs in (first, *others)], gains)


def csv_rows(lines: Sequence[ComparedSystem], names: Sequence[str]) -> tuple[list[str], list[list[Cell]]]:
    """Return header and rows of the CSV."""
    records: list[dict[str, Cell]] = []
    for line in lines:
        record: dict[str, Cell] = dict(zip(("dataset", "system", "variant"), line.key[:3], strict=True))
        for name, count, summary in zip(names, line.counts, line.summaries, strict=True):
            record[f"{name} synthetic rows"] = count
            record[name] = round_score(summary.mean if summary else None)
            record[f"{name} sd"] = round_score(summary.sd if summary else None)
            record[f"{name} runs"] = summary.runs if summary else 0
        for name, gain in zip(names[1:], line.gains, strict=True):
            record |= gain.cells(f"{name} - {names[0]} ")
        records.append(record)
    return list(records[0]), [list(record.values()) for record in records]


def table_cells(lines: Sequence[ComparedSystem], names: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Return header and formatted cells, not escaped."""
    header = ["Dataset", "System", "Variant", "synthetic rows", *(f"{name}, %" for name in names)]
    header += [f"{name} - {names[0]}" for name in names[1:]]
    return header, [list(_table_row(line)) for line in lines]


def _table_row(line: ComparedSystem) -> Iterator[str]:
    dataset, system, variant, _ = line.key
    counts = dict.fromkeys(f"{count:,}" for count in line.counts if count is not None)
    yield from (dataset, system, variant or MISSING, " / ".join(counts))
    for summary in line.summaries:
        yield format_mean(summary.mean, summary.sd) if summary else MISSING
    for gain in line.gains:
        yield format_difference(gain)


def format_difference(gain: PairedTest) -> str:
    """Format a difference with its p-value, if any."""
    if gain.difference is None:
        return MISSING
    p_value = f"p = {gain.p:.2g}, " if gain.p is not None else ""
    return f"{gain.difference:+.1f} ({p_value}n = {gain.pairs})"


CAPTION = (
    " on the test rows in percent, mean ± standard deviation over seeds (single runs have no ±); differences in"
    " points from the first study over the n seeds that both have, with a two-sided paired t-test where there are two"
    " or more of them, not corrected for the number of tests. Studies compare only where their test rows are the same."
)


def comparison_caption(score: str) -> str:
    """Return the caption of the table."""
    return {"accuracy": "Accuracy", "macro_f1": "Macro F1"}[score] + CAPTION


def comparison_markdown(lines: Sequence[ComparedSystem], names: Sequence[str], score: str) -> str:
    """Return the comparison as Markdown."""
    header, rows = table_cells(lines, names)
    escaped = [[escape.markdown(cell) for cell in row] for row in rows]
    table = markdown_table([escape.markdown(name) for name in header], escaped, align_right=range(3, len(header)))
    return f"**Comparison.** {comparison_caption(score)}\n\n{table}"


def write_comparison(target: Path, lines: Sequence[ComparedSystem], names: Sequence[str], score: str) -> None:
    """Write the comparison as .csv or .md, by the suffix of ``target``.

    Raises:
        GendistError: for other suffixes.
    """
    if target.suffix == ".csv":
        write_csv(target, *csv_rows(lines, names))
    elif target.suffix == ".md":
        write_text(target, comparison_markdown(lines, names, score))
    else:
        raise GendistError(f"{target}: unknown file type '{target.suffix}'; accepted: .csv, .md")
