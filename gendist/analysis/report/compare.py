"""Two or more studies side by side: the same systems, their means, and a paired test over shared seeds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gendist.analysis.metrics_table import Run, Summary, read_runs, rounded, summarise
from gendist.analysis.report.paired import Paired, paired
from gendist.analysis.table_files import NONE, Cell, markdown_table, mean_and_spread, write_csv
from gendist.errors import GendistError
from gendist.io import escape
from gendist.io.atomic_files import write_text

METRICS = "metrics.parquet"
SCORES = ("accuracy", "macro_f1")
FULL = -1
"""Stands for the most synthetic rows that a system of a study has: studies of different sizes compare there."""

Key = tuple[str, str, str, int]
"""Dataset, system, variant and synthetic rows (or ``FULL``): what two runs share that are compared."""


@dataclass(frozen=True)
class Study:
    """A study's runs under the name that the table gives it."""

    name: str
    runs: Sequence[Run]


@dataclass(frozen=True)
class Line:
    """One system in every study."""

    key: Key
    counts: list[int | None]
    """Synthetic rows in each study; None where it does not have the system."""
    summaries: list[Summary | None]
    """Of each study, in order."""
    gains: list[Paired]
    """Of each study after the first, against the first."""

    @property
    def gain(self) -> float:
        """The largest difference from the first study, by its size; -1 where nothing pairs."""
        found = [abs(gain.difference) for gain in self.gains if gain.difference is not None]
        return max(found, default=-1.0)


def find_metrics(place: Path) -> Path:
    """Return the tidy table of a results folder, of a config's study, or the table itself.

    Raises:
        GendistError: if there is none.
    """
    if place.suffix in (".yaml", ".yml"):
        from gendist.config import load_study

        found = Path(load_study(place).results) / METRICS
        if not found.is_file():
            raise GendistError(f"{place}: its study has no {found} yet; run it first: gendist run {place}")
        return found
    found = place / METRICS if place.is_dir() else place
    if not found.is_file() or found.suffix != ".parquet":
        raise GendistError(f"{place}: expected a results folder with {METRICS}, or a config")
    return found


def read_studies(places: Sequence[Path], score: str = "accuracy") -> list[Study]:
    """Read studies under the names of their folders or configs, or their whole paths where those are the same.

    Args:
        places: results folders or configs.
        score: what is compared, one of ``SCORES``.

    Raises:
        GendistError: if one has no metrics, or the same is named twice.
    """
    tables = [find_metrics(place) for place in places]
    for place, table in zip(places, tables, strict=True):
        if sum(table.samefile(other) for other in tables) > 1:
            raise GendistError(f"{place}: named twice; name different studies")
    scored = [[{**run, "accuracy": run[score]} for run in read_runs(table)] for table in tables]
    return [Study(name, runs) for name, runs in zip(_names(places), scored, strict=True)]


def _names(places: Sequence[Path]) -> list[str]:
    shown = [place.stem if place.suffix in (".yaml", ".yml") else place.name for place in places]
    return shown if len(set(shown)) == len(shown) and all(shown) else [str(place) for place in places]


def compare(studies: Sequence[Study]) -> list[Line]:
    """Compare every system that a study has; what differs most in a dataset stands first.

    A run pairs with the run of the same dataset, system, variant and seed, and of as many
    synthetic rows, or of the most that each of the two studies has.
    """
    by_key = [_by_key(study.runs) for study in studies]
    keys = list(dict.fromkeys(key for runs in by_key for key in runs))
    lines = [_line(key, by_key) for key in keys]
    return sorted(lines, key=lambda line: (line.key[0], -line.gain, line.key))


def _by_key(runs: Sequence[Run]) -> dict[Key, list[Run]]:
    unlabelled: dict[str, int] = {}
    for run in runs:
        unlabelled[run["dataset"]] = max(unlabelled.get(run["dataset"], 0), run["n_unlabelled"] or 0)
    systems = [_system(run, unlabelled) for run in runs]
    most: dict[tuple[str, str, str], int] = {}
    for system, run in zip(systems, runs, strict=True):
        most[system] = max(most.get(system, 0), run["n_synthetic"] or 0)
    grouped: dict[Key, list[Run]] = {}
    for system, run in zip(systems, runs, strict=True):
        count = run["n_synthetic"] or 0
        grouped.setdefault((*system, FULL if count == most[system] else count), []).append(run)
    return grouped


def _system(run: Run, most: Mapping[str, int]) -> tuple[str, str, str]:
    system, unlabelled = run["system"], run["n_unlabelled"] or 0
    if unlabelled < most.get(run["dataset"], 0) and unlabelled:
        system += f" ({unlabelled:,} unlabelled rows)"
    # A teacher has no variant: it is told by its own name.
    return run["dataset"], system, run["variant"] or run["teacher"] or ""


def _line(key: Key, by_key: Sequence[Mapping[Key, Sequence[Run]]]) -> Line:
    first, *others = [runs.get(key, ()) for runs in by_key]
    counts = [runs[0]["n_synthetic"] or 0 if runs else None for runs in (first, *others)]
    gains = [paired(first, other) for other in others]
    return Line(key, counts, [summarise(runs) for runs in (first, *others)], gains)


def csv_rows(lines: Sequence[Line], names: Sequence[str]) -> tuple[list[str], list[list[Cell]]]:
    """Return header and rows with all numbers."""
    records: list[dict[str, Cell]] = []
    for line in lines:
        record: dict[str, Cell] = dict(zip(("dataset", "system", "variant"), line.key[:3], strict=True))
        for name, count, summary in zip(names, line.counts, line.summaries, strict=True):
            record[f"{name} synthetic rows"] = count
            record[name] = rounded(summary.mean if summary else None)
            record[f"{name} sd"] = rounded(summary.sd if summary else None)
            record[f"{name} runs"] = summary.runs if summary else 0
        for name, gain in zip(names[1:], line.gains, strict=True):
            record |= gain.cells(f"{name} - {names[0]} ")
        records.append(record)
    return list(records[0]), [list(record.values()) for record in records]


def table_cells(lines: Sequence[Line], names: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Return header and cells for people, nothing of it escaped yet."""
    header = ["Dataset", "System", "Variant", "synthetic rows", *(f"{name}, %" for name in names)]
    header += [f"{name} - {names[0]}" for name in names[1:]]
    return header, [list(_cells(line)) for line in lines]


def _cells(line: Line) -> Iterator[str]:
    dataset, system, variant, _ = line.key
    counts = dict.fromkeys(f"{count:,}" for count in line.counts if count is not None)
    yield from (dataset, system, variant or NONE, " / ".join(counts))
    for summary in line.summaries:
        yield mean_and_spread(summary.mean, summary.sd) if summary else NONE
    for gain in line.gains:
        yield difference(gain)


def difference(gain: Paired) -> str:
    """Format a difference with its test, where there is one."""
    if gain.difference is None:
        return NONE
    tested = f"p = {gain.p:.2g}, " if gain.p is not None else ""
    return f"{gain.difference:+.1f} ({tested}n = {gain.pairs})"


CAPTION = (
    " on the test rows in percent, mean ± standard deviation over seeds (single runs have no ±); differences in"
    " points from the first study over the n seeds that both have, with a two-sided paired t-test where there are two"
    " or more of them, not corrected for the number of tests. Studies compare only where their test rows are the same."
)


def caption(score: str) -> str:
    """Say what the numbers are."""
    return {"accuracy": "Accuracy", "macro_f1": "Macro F1"}[score] + CAPTION


def markdown(lines: Sequence[Line], names: Sequence[str], score: str) -> str:
    """Return the comparison as Markdown."""
    header, rows = table_cells(lines, names)
    escaped = [[escape.markdown(cell) for cell in row] for row in rows]
    table = markdown_table([escape.markdown(name) for name in header], escaped, right=range(3, len(header)))
    return f"**Comparison.** {caption(score)}\n\n{table}"


def write_comparison(target: Path, lines: Sequence[Line], names: Sequence[str], score: str) -> None:
    """Write the comparison as .csv or .md, by the target's suffix.

    Raises:
        GendistError: for any other.
    """
    if target.suffix == ".csv":
        write_csv(target, *csv_rows(lines, names))
    elif target.suffix == ".md":
        write_text(target, markdown(lines, names, score))
    else:
        raise GendistError(f"{target}: unknown file type '{target.suffix}'; accepted: .csv, .md")
