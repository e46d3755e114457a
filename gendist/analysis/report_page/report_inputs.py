"""What the page is made of: tables and figures' data as they lie under ``results/``."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gendist.errors import GendistError
from gendist.io import escape

CsvRow = dict[str, str]

COSTS = "costs.parquet"
"""Size, latency and throughput of the systems, where the study has measured them."""


@dataclass(frozen=True)
class ReportInputs:
    """The files of a study that the page shows; by dataset where there is one for each."""

    results: Path
    """Folder of the study's results; model folders in it are asked for their provenance."""
    logs: Path
    """Folder of the logs and benchmarks, for the cost of the stages."""
    metrics: Path
    run_config: Path
    tables: Mapping[str, Path]
    """From ``tables_by_name``."""
    train: Mapping[str, Path]
    test: Mapping[str, Path]
    details: Mapping[str, Mapping[str, Path]]
    """By dataset and stem: confusion, per_class, reliability, errors."""
    exports: Mapping[str, Path] = field(default_factory=dict)
    """``gendist-model.json`` of the datasets whose student is exported."""
    deployed: Mapping[str, Path] = field(default_factory=dict)
    """Measured size and latency of these exports."""


@dataclass(frozen=True)
class PageTable:
    """A table of the page; cells are plain text, which the template escapes."""

    header: list[str]
    rows: list[list[str]]
    right: frozenset[int] = frozenset()
    """Columns of numbers."""
    strong: frozenset[int] = field(default_factory=frozenset)
    """Rows that stand out."""


def tables_by_name(files: Iterable[Path]) -> dict[str, Path]:
    """Name what the page can show: CSVs as ``tables/table1`` or ``figures/figure2``, and ``costs.parquet``."""
    files = list(map(Path, files))
    tables = {f"{file.parent.name}/{file.stem}": file for file in files if file.suffix == ".csv"}
    return tables | {file.name: file for file in files if file.name == COSTS}


def details_by_dataset(files: Iterable[Path]) -> dict[str, dict[str, Path]]:
    """Sort files by their folder, which bears the dataset's name, and their stem."""
    found: dict[str, dict[str, Path]] = {}
    for file in map(Path, files):
        found.setdefault(file.parent.name, {})[file.stem] = file
    return found


def read_csv_rows(path: Path, dataset: str | None = None) -> list[CsvRow]:
    """Read a table that ``write_csv`` wrote, or what it says of one dataset.

    Raises:
        GendistError: if the file is missing or damaged.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream, strict=True))
    except FileNotFoundError:
        raise GendistError(f"{path}: no such file") from None
    except (OSError, ValueError, csv.Error) as error:
        raise GendistError(f"{path}: damaged ({error}); delete it and run again") from None
    plain = [{key: escape.from_csv(value or "") for key, value in row.items() if key is not None} for row in rows]
    return plain if dataset is None else [row for row in plain if row.get("dataset") == dataset]


def parse_number(cell: str) -> float | None:
    """Return a cell's number, None for an empty one."""
    return float(cell) if cell else None


def format_count(cell: str) -> str:
    """Format a cell's whole number with thousands apart."""
    return f"{int(float(cell)):,}" if cell else "-"
