"""Costs table: size on disk, latency, throughput and training time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from gendist.analysis.table_files import MISSING, markdown_table, write_csv
from gendist.errors import GendistError
from gendist.io import escape
from gendist.io.atomic_files import write_text
from gendist.io.parquet import read_parquet

CostRow = Mapping[str, Any]
"""A row of ``results/costs.parquet``."""
SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("system", pa.string()),
        ("runtime", pa.string()),
        ("size_bytes", pa.int64()),
        ("latency_p50_ms", pa.float64()),
        ("latency_p95_ms", pa.float64()),
        ("rows_per_second", pa.float64()),
        ("texts", pa.int64()),
        ("device", pa.string()),
        ("threads", pa.int64()),
        ("train_seconds", pa.float64()),
    ]
)
"""Columns of ``results/costs.parquet``, a row per dataset, system and runtime. train_seconds is the mean over runs."""
EXPORTED_RUNTIME = "exported"
"""Prefix of the runtime of exported models; other rows of a system measure the trained network."""
MEGABYTE = 1e6


def read_costs(path: Path) -> list[CostRow]:
    """Read ``costs.parquet``.

    Raises:
        GendistError: if the file is missing, damaged or empty, or lacks a column.
    """
    rows: list[CostRow] = read_parquet(path, SCHEMA.names).to_pylist()
    if not rows:
        raise GendistError(f"{path}: no costs")
    return rows


def write_costs(costs: Path, out_csv: Path, out_md: Path) -> None:
    """Write the costs of every system as CSV and Markdown.

    Args:
        costs: ``results/costs.parquet``.
        out_csv: all columns, not rounded.
        out_md: formatted table, sizes in MB.

    Raises:
        GendistError: if there are no costs.
    """
    rows = read_costs(costs)
    write_csv(out_csv, SCHEMA.names, [[row[name] for name in SCHEMA.names] for row in rows])
    write_text(out_md, _markdown(rows))


def _markdown(rows: Sequence[CostRow]) -> str:
    header = ["Dataset", "System", "size, MB", "latency p50, ms", "p95, ms", "rows/s", "training, s", "runtime"]
    cells = [
        [
            escape.markdown(row["dataset"]),
            escape.markdown(row["system"]),
            three_digits(row["size_bytes"] / MEGABYTE),
            three_digits(row["latency_p50_ms"]),
            three_digits(row["latency_p95_ms"]),
            f"{row['rows_per_second']:,.0f}",
            MISSING if row["train_seconds"] is None else three_digits(row["train_seconds"]),
            escape.markdown(row["runtime"]),
        ]
        for row in rows
    ]
    devices = ", ".join(sorted({row["device"] for row in rows}))
    texts = " to ".join(
        f"{n}" for n in sorted({row["texts"] for row in rows})[:: max(1, len({row["texts"] for row in rows}) - 1)]
    )
    caption = (
        "What each system costs. Size: the files to ship, weights with tokenizer or vocabulary (1 MB = 1,000,000"
        f" bytes), without the libraries. Latency: one text in, its label out, over {texts} test texts; rows/s: all of"
        f" them in one call. Both in CPU time of one thread ({devices}), the least of several rounds; other work on the"
        " machine still inflates them somewhat. Systems of one network share a measurement; the exported model, the"
        " one to deploy, has a line of its own. Training: mean over runs, by the clock, of the system's own training"
        " alone (not of its teacher, generator or pretraining)."
    )
    return f"**Costs.** {escape.markdown(caption)}\n\n{markdown_table(header, cells, align_right=range(2, 7))}"


def is_exported_model(cost: CostRow) -> bool:
    """Return whether a row measures the exported model."""
    return str(cost["runtime"]).startswith(EXPORTED_RUNTIME)


def three_digits(value: float) -> str:
    """Format a positive number with three significant digits, without exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"
