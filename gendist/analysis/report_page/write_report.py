"""Write the HTML report from the result files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gendist import __version__
from gendist.analysis.metrics_table import MetricsRow, read_runs
from gendist.analysis.report_page import page_charts, page_tables
from gendist.analysis.report_page.deployed_model import DeployedModel, read_deployed
from gendist.analysis.report_page.most_accurate import most_accurate
from gendist.analysis.report_page.page_summary import best_student, key_figures, sampling_note, summary_sentence
from gendist.analysis.report_page.page_tables import Sample
from gendist.analysis.report_page.report_inputs import (
    COSTS,
    CsvRow,
    PageTable,
    ReportInputs,
    format_count,
    read_csv_rows,
)
from gendist.analysis.report_page.report_provenance import data_hashes, installed_versions, source_models
from gendist.analysis.report_page.stage_costs import cost_table, stage_costs
from gendist.analysis.report_page.system_legend import legend_table
from gendist.errors import GendistError
from gendist.io.atomic_files import write_text
from gendist.io.parquet import read_parquet
from gendist.stages.texts.text_tables import read_texts


@dataclass(frozen=True)
class Section:
    """Contents of the page for one dataset."""

    name: str
    anchor: str
    data: str
    """Numbers of classes and rows, as text."""
    key_figures: list[tuple[str, str, str]]
    summary_sentence: str
    tables: dict[str, PageTable | None]
    charts: dict[str, Markup | None]
    equivalence: str | None
    """Number of unlabelled rows equivalent to the generated rows; None without unlabelled rows."""
    detail: str
    """System and number of runs of the details."""
    errors: list[CsvRow]
    samples: list[Sample]
    models: list[tuple[str, str, str]]
    hashes: list[tuple[str, str]]
    deployed: DeployedModel | None
    """The exported model, or None."""
    most_accurate: list[tuple[str, str]]
    """The most accurate systems by size and by latency, as (label, sentence)."""
    sampling_note: str | None
    """Comparison of the main sampling strategy with the best one."""


def write_report(inputs: ReportInputs, target: Path) -> None:
    """Write the report as one self-contained HTML file without scripts.

    Args:
        inputs: input files.
        target: HTML file to write.

    Raises:
        GendistError: if a file is missing or damaged.
    """
    text = inputs.run_config.read_text(encoding="utf-8")
    config = yaml.safe_load(text)
    runs = read_runs(inputs.metrics)
    sections = [
        _section(inputs, name=name, index=index, config=config, runs=runs) for index, name in enumerate(inputs.test)
    ]
    page = (
        page_environment()
        .get_template("page.html")
        .render(sections=sections, config=text, versions=installed_versions(), version=__version__)
    )
    write_text(target, page)


def page_environment() -> Environment:
    """Return the Jinja environment: values are escaped, undefined variables raise."""
    return Environment(
        loader=PackageLoader("gendist.analysis.report_page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _section(
    inputs: ReportInputs, *, name: str, index: int, config: Mapping[str, Any], runs: Sequence[MetricsRow]
) -> Section:
    anchor = f"d{index}"
    test, train = read_texts(inputs.test[name]), read_texts(inputs.train[name])
    files = inputs.details[name]
    rows = {stem: read_csv_rows(path, name) for stem, path in inputs.tables.items() if path.suffix == ".csv"}
    gains = rows["tables/gains"]
    best = best_student(gains)
    table1_rows = page_tables.read_systems(read_csv_rows(inputs.tables["tables/table1"]), name)
    per_class = read_csv_rows(files["per_class"])
    if not per_class:
        raise GendistError(f"{files['per_class']}: no rows; delete it and rerun")
    costs = _measured_costs(inputs, name)
    deployed = read_deployed(inputs, name)
    size = deployed.facts(costs) if deployed else _parameter_size(best.system if best else None, runs, name)
    return Section(
        name=name,
        anchor=anchor,
        data=f"{len(train.label_names)} classes, {len(train.texts):,} training rows, {len(test.texts):,} test rows",
        key_figures=key_figures(gains, config["students"]) + size,
        summary_sentence=summary_sentence(gains),
        tables={
            "systems": page_tables.systems_table(table1_rows, best.system if best else None),
            "legend": legend_table([row["system"] for row in table1_rows], config["students"]),
            "gains": page_tables.gains_table(gains),
            "costs": page_tables.costs_table(costs) if costs else None,
            "labelling": page_tables.labelling_table(rows["tables/table2"]) if rows["tables/table2"] else None,
            "samplings": page_tables.samplings_table(rows["figures/sampling"])
            if rows.get("figures/sampling")
            else None,
            "classes": page_tables.classes_table(per_class),
            "memorisation": page_tables.plain_table(rows["tables/memorisation"])
            if rows["tables/memorisation"]
            else None,
            "quality": page_tables.plain_table(rows["tables/quality"]) if rows.get("tables/quality") else None,
            "stages": cost_table(stage_costs(inputs.results, inputs.logs, name, runs, generators=config["generators"])),
        },
        charts={
            **page_charts.details_charts(files, test.label_names, anchor),
            "size": page_charts.tradeoff_chart(_with_accuracy(table1_rows, costs), "size_bytes", anchor),
            "latency": page_charts.tradeoff_chart(_with_accuracy(table1_rows, costs), "latency_p50_ms", anchor),
            "curve": page_charts.curve_chart(rows["figures/figure2"], anchor),
            "samplings": page_charts.sampling_chart(rows.get("figures/sampling", []), anchor),
            "rows": page_charts.rows_chart(rows.get("figures/rows", []), anchor),
        },
        equivalence=_equivalence(rows.get("figures/rows", [])),
        detail=_details_caption(per_class[0]),
        errors=page_tables.worst_errors(read_csv_rows(files["errors"])),
        samples=page_tables.group_samples(rows["tables/table4"]),
        models=source_models(inputs.results, name, config),
        hashes=data_hashes(inputs.train[name], inputs.test[name]),
        deployed=deployed,
        most_accurate=most_accurate(_with_accuracy(table1_rows, costs)),
        sampling_note=sampling_note(rows.get("figures/sampling", [])),
    )


def _equivalence(rows: Sequence[CsvRow]) -> str | None:
    known = [row for row in rows if row["equal_unlabelled"]]
    if not known:
        return None
    last = known[-1]
    generated, unlabelled = format_count(last["n_synthetic"]), format_count(last["equal_unlabelled"])
    if last["is_lower_bound"] == "True":
        unlabelled = f"at least {unlabelled}, the most that there are,"
    return f"{generated} generated rows raise the accuracy as much as {unlabelled} real rows without labels"


def _details_caption(row: CsvRow) -> str:
    runs = int(row["runs"])
    return f"{row['system']}, {f'all {runs} seeds together' if runs > 1 else 'one seed'}"


def _parameter_size(system: str | None, runs: Sequence[MetricsRow], dataset: str) -> list[tuple[str, str, str]]:
    """Return the best student's number of weights as a key figure, compared with its teacher."""
    weights = {run["system"]: run["n_parameters"] for run in runs if run["dataset"] == dataset and run["n_parameters"]}
    if system not in weights:
        return []
    n_weights = weights[system]
    size = f"{n_weights * 4 / 1e6:.1f} MB" if n_weights >= 250_000 else f"{n_weights * 4 / 1e3:.0f} kB"
    remark = f"{size} in 32-bit floats"
    if "teacher" in weights:
        remark += f"; the teacher has {weights['teacher'] / n_weights:.0f} times as many"
    return [("Size", f"{n_weights:,} weights", remark)]


def _measured_costs(inputs: ReportInputs, dataset: str) -> list[dict[str, Any]]:
    """Return the measured costs of a dataset's systems; empty without measurements."""
    if COSTS not in inputs.tables:
        return []
    columns = ["dataset", "system", "runtime", "size_bytes", "latency_p50_ms", "latency_p95_ms", "rows_per_second"]
    rows = read_parquet(inputs.tables[COSTS], columns).to_pylist()
    return [row for row in rows if row["dataset"] == dataset]


def _with_accuracy(
    table1_rows: Sequence[Mapping[str, Any]], costs: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Join measured costs with the accuracy of the systems."""
    scores = {row["system"]: row for row in table1_rows if row["accuracy"] is not None}
    return [{**scores[row["system"]], **row} for row in costs if row["system"] in scores]
