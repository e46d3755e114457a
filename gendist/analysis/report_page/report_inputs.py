"""Input files of the report, and their parsing."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gendist.errors import GendistError
from gendist.io import escape

CsvRow = dict[str, str]

COSTS = "costs.parquet"
"""File of measured costs; optional."""


@dataclass(frozen=True)
class ReportInputs:
    """Input files of the report; mappings are by dataset unless noted."""

    results: Path
    """Results folder, for the provenance of models."""
    logs: Path
    """Folder of logs and benchmarks, for the cost of the stages."""
    metrics: Path
    run_config: Path
    tables: Mapping[str, Path]
    """By name, from ``tables_by_name``."""
    train: Mapping[str, Path]
    test: Mapping[str, Path]
    details: Mapping[str, Mapping[str, Path]]
    """By dataset and stem: confusion, per_class, reliability, errors."""
    exports: Mapping[str, Path] = field(default_factory=dict)
    """``gendist-model.json`` of the exported models."""
    deployed: Mapping[str, Path] = field(default_factory=dict)
    """Measured costs of the exported models."""
    pages: Mapping[str, Path] = field(default_factory=dict)
    """Exported models as HTML pages."""


@dataclass(frozen=True)
class PageTable:
    """A table of the page. Cells are plain text; the template escapes them."""

    header: list[str]
    rows: list[list[str]]
    right: frozenset[int] = frozenset()
    """Indices of right-aligned columns."""
    strong: frozenset[int] = field(default_factory=frozenset)
    """Indices of highlighted rows."""


def tables_by_name(files: Iterable[Path]) -> dict[str, Path]:
    """Index the CSV files, such as ``tables/table1`` or ``figures/figure2``, and ``costs.parquet`` by name."""
    files = list(map(Path, files))
    tables = {f"{file.parent.name}/{file.stem}": file for file in files if file.suffix == ".csv"}
    return tables | {file.name: file for file in files if file.name == COSTS}


def details_by_dataset(files: Iterable[Path]) -> dict[str, dict[str, Path]]:
    """Index files by dataset (the name of their folder) and stem."""
    found: dict[str, dict[str, Path]] = {}
    for file in map(Path, files):
        found.setdefault(file.parent.name, {})[file.stem] = file
    return found


def read_csv_rows(path: Path, dataset: str | None = None) -> list[CsvRow]:
    """Read a table of ``write_csv``, or only the rows of one dataset.

    Raises:
        GendistError: if the file is missing or damaged.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream, strict=True))
    except FileNotFoundError:
        raise GendistError(f"{path}: no such file") from None
    except (OSError, ValueError, csv.Error) as error:
        raise GendistError(f"{path}: damaged ({error}); delete it and rerun") from None
    plain = [{key: escape.from_csv(value or "") for key, value in row.items() if key is not None} for row in rows]
    return plain if dataset is None else [row for row in plain if row.get("dataset") == dataset]


def parse_number(cell: str) -> float | None:
    """Parse a number; None for an empty cell."""
    return float(cell) if cell else None


def format_count(cell: str) -> str:
    """Format an integer cell with thousands separators."""
    return f"{int(float(cell)):,}" if cell else "-"
