"""Time per stage, from Snakemake's benchmark files and the training times of the runs.

Benchmark files are not declared as inputs of the page: a changed duration does not rerun it.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from gendist.analysis.metrics_table import MetricsRow
from gendist.analysis.report_page.report_inputs import PageTable
from gendist.analysis.table_files import MISSING
from gendist.io.parquet import read_metadata, read_parquet

SUFFIX = ".benchmark.tsv"


@dataclass(frozen=True)
class StageCost:
    """Cost of one stage of a dataset, summed over its jobs."""

    stage: str
    jobs: int
    seconds: float
    rows: int | None = None
    """Rows produced; None for other stages."""
    tokens: int | None = None
    prompt_tokens: int | None = None
    """Tokens of the prompts of chat models; None for other stages."""
    answer_tokens: int | None = None
    """Tokens of their answers."""
    price: str | None = None
    """Price of a server's answers, with its currency; None if the config has no prices."""


def stage_costs(
    results: Path,
    logs: Path,
    dataset: str,
    runs: Sequence[MetricsRow],
    *,
    generators: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[StageCost]:
    """Return the cost of each stage with a record.

    Args:
        results: results folder.
        logs: log folder, with a ``.benchmark.tsv`` beside the log of each expensive job.
        dataset: name of the dataset.
        runs: all rows of ``metrics.parquet``.
        generators: the config's generators by name, for the prices of endpoints.
    """
    dataset_runs = [run for run in runs if run["dataset"] == dataset]
    costs = [
        _benchmark_cost("finetune the generator", (logs / dataset / "generators").glob(f"*{SUFFIX}")),
        _with_usage(
            _shard_cost("generate rows", results, logs, Path(dataset) / "synthetic"),
            results / dataset / "synthetic",
            generators or {},
        ),
        _benchmark_cost("finetune the teacher", (logs / dataset / "teachers").glob(f"*{SUFFIX}")),
        _shard_cost("score generated rows", results, logs, Path(dataset) / "logits"),
        _training_cost("train the students", [run for run in dataset_runs if run["student"]]),
        _training_cost("fit the baselines", [run for run in dataset_runs if not run["student"] and not run["teacher"]]),
    ]
    return [cost for cost in costs if cost is not None]


def cost_table(costs: Sequence[StageCost]) -> PageTable:
    """Return the table of costs, with the total."""
    rows = [_cost_row(cost) for cost in costs]
    seconds = sum(cost.seconds for cost in costs)
    rows.append(["together", f"{sum(c.jobs for c in costs):,}", format_seconds(seconds), MISSING, MISSING, MISSING])
    header = ["stage", "jobs", "time", "rows", "rows / s", "tokens / s"]
    if any(cost.prompt_tokens is not None for cost in costs):
        header += ["tokens of prompts", "tokens of answers", "price"]
        rows = [[*row, *_usage_cells(cost)] for row, cost in zip(rows, [*costs, None], strict=True)]
    return PageTable(header, rows, frozenset(range(1, len(header))), frozenset([len(rows) - 1]))


def format_seconds(seconds: float) -> str:
    """Format seconds as hours, minutes or seconds."""
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"


def _cost_row(cost: StageCost) -> list[str]:
    rows = MISSING if cost.rows is None else f"{cost.rows:,}"
    rates = [MISSING if n is None else f"{n / cost.seconds:,.1f}" for n in (cost.rows, cost.tokens)]
    return [cost.stage, f"{cost.jobs:,}", format_seconds(cost.seconds), rows, *rates]


def _usage_cells(cost: StageCost | None) -> list[str]:
    if cost is None or cost.prompt_tokens is None:
        return [MISSING] * 3
    return [f"{cost.prompt_tokens:,}", f"{cost.answer_tokens:,}", cost.price or MISSING]


def _with_usage(cost: StageCost | None, pools: Path, generators: Mapping[str, Mapping[str, Any]]) -> StageCost | None:
    """Add the tokens of prompted pools, and their price, to the cost of generating."""
    if cost is None:
        return None
    usages: list[dict[str, int]] = []
    prices: dict[str, float] = {}
    for shard in sorted(pools.glob("*/*/shard-*.parquet")):
        usage = read_metadata(shard).get("usage")
        if not isinstance(usage, dict):
            continue
        usages.append(usage)
        endpoint = generators.get(shard.parts[-3], {}).get("endpoint") or {}
        if price := endpoint.get("prices"):
            added = usage["prompt_tokens"] * price["input"] + usage["completion_tokens"] * price["output"]
            prices[price["currency"]] = prices.get(price["currency"], 0.0) + added / 1e6
    if not usages:
        return cost
    shown = " + ".join(f"{amount:,.2f} {currency}" for currency, amount in prices.items())
    prompt_tokens, answer_tokens = (
        sum(usage[f"{kind}_tokens"] for usage in usages) for kind in ("prompt", "completion")
    )
    return replace(cost, prompt_tokens=prompt_tokens, answer_tokens=answer_tokens, price=shown or None)


def _benchmark_cost(stage: str, files: Iterable[Path]) -> StageCost | None:
    seconds = [job_seconds for file in sorted(files) if (job_seconds := _benchmark_seconds(file))]
    return StageCost(stage, jobs=len(seconds), seconds=sum(seconds)) if seconds else None


def _shard_cost(stage: str, results: Path, logs: Path, folder: Path) -> StageCost | None:
    """Sum over the shards with both a benchmark and a Parquet file."""
    jobs, seconds, rows, tokens = 0, 0.0, 0, None
    for benchmark in sorted((logs / folder).rglob(f"shard-*{SUFFIX}")):
        shard = results / benchmark.relative_to(logs).with_name(benchmark.name.replace(SUFFIX, ".parquet"))
        job_seconds = _benchmark_seconds(benchmark)
        if not job_seconds or not shard.is_file():
            continue
        jobs, seconds = jobs + 1, seconds + job_seconds
        rows += pq.read_metadata(shard.absolute()).num_rows
        if "n_tokens" in pq.read_schema(shard.absolute()).names:
            tokens = (tokens or 0) + sum(read_parquet(shard, ["n_tokens"])["n_tokens"].to_pylist())
    return StageCost(stage, jobs=jobs, seconds=seconds, rows=rows, tokens=tokens) if jobs else None


def _training_cost(stage: str, runs: Sequence[MetricsRow]) -> StageCost | None:
    return StageCost(stage, jobs=len(runs), seconds=sum(run["train_seconds"] for run in runs)) if runs else None


def _benchmark_seconds(benchmark: Path) -> float | None:
    """Read the seconds of a job; None if the file is incomplete."""
    try:
        with benchmark.open(newline="") as stream:
            return float(next(csv.DictReader(stream, delimiter="\t"))["s"])
    except (OSError, ValueError, KeyError, StopIteration):
        return None
