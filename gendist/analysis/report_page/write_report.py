"""Put the page together from the study's files."""

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
from gendist.io.files import write_text
from gendist.io.parquet import read_parquet
from gendist.stages.texts.tables import read_texts


@dataclass(frozen=True)
class Section:
    """All that the page says of one dataset."""

    name: str
    anchor: str
    data: str
    """Classes and rows in words."""
    key_figures: list[tuple[str, str, str]]
    summary_sentence: str
    tables: dict[str, PageTable | None]
    charts: dict[str, Markup | None]
    worth: str | None
    """What the generated rows are worth in unlabelled ones, where the dataset has such."""
    detail: str
    """Name of the system that is shown in detail, and of how many runs."""
    errors: list[CsvRow]
    samples: list[Sample]
    models: list[tuple[str, str, str]]
    hashes: list[tuple[str, str]]
    deployed: DeployedModel | None
    """The exported model; None for a study that exports nothing."""
    sampling_note: str | None
    """Whether the study's own sampling strategy is the best."""


def write_report(sources: ReportInputs, target: Path) -> None:
    """Write the report: one HTML file without scripts that asks for nothing else.

    Args:
        sources: the study's files.
        target: the page.

    Raises:
        GendistError: if a file is missing or damaged.
    """
    text = sources.run_config.read_text(encoding="utf-8")
    config = yaml.safe_load(text)
    runs = read_runs(sources.metrics)
    sections = [_section(sources, name, place, config, runs) for place, name in enumerate(sources.test)]
    page = (
        template_environment()
        .get_template("page.html")
        .render(sections=sections, config=text, versions=installed_versions(), version=__version__)
    )
    write_text(target, page)


def template_environment() -> Environment:
    """Return the templates' environment: every value is escaped, and a missing one is an error."""
    return Environment(
        loader=PackageLoader("gendist.analysis.report_page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _section(
    sources: ReportInputs, name: str, place: int, config: Mapping[str, Any], runs: Sequence[MetricsRow]
) -> Section:
    anchor = f"d{place}"
    test, train = read_texts(sources.test[name]), read_texts(sources.train[name])
    files = sources.details[name]
    rows = {stem: read_csv_rows(path, name) for stem, path in sources.tables.items() if path.suffix == ".csv"}
    gains = rows["tables/gains"]
    best = best_student(gains)
    found = page_tables.read_systems(read_csv_rows(sources.tables["tables/table1"]), name)
    per_class = read_csv_rows(files["per_class"])
    if not per_class:
        raise GendistError(f"{files['per_class']}: holds no rows; delete it and run again")
    measured = _measured_costs(sources, name)
    deployed = read_deployed(sources, name)
    size = deployed.facts(measured) if deployed else _parameter_size(best.system if best else None, runs, name)
    return Section(
        name=name,
        anchor=anchor,
        data=f"{len(train.label_names)} classes, {len(train.texts):,} training rows, {len(test.texts):,} test rows",
        key_figures=key_figures(gains, config["students"]) + size,
        summary_sentence=summary_sentence(gains),
        tables={
            "systems": page_tables.systems_table(found, best.system if best else None),
            "legend": legend_table([row["system"] for row in found], config["students"]),
            "gains": page_tables.gains_table(gains),
            "costs": page_tables.costs_table(measured) if measured else None,
            "labelling": page_tables.labelling_table(rows["tables/table2"]) if rows["tables/table2"] else None,
            "samplings": page_tables.samplings_table(rows["figures/sampling"])
            if rows.get("figures/sampling")
            else None,
            "classes": page_tables.classes_table(per_class),
            "memorisation": page_tables.plain_table(rows["tables/memorisation"])
            if rows["tables/memorisation"]
            else None,
            "quality": page_tables.plain_table(rows["tables/quality"]) if rows.get("tables/quality") else None,
            "stages": cost_table(stage_costs(sources.results, sources.logs, name, runs)),
        },
        charts={
            **page_charts.details_charts(files, test.label_names, anchor),
            "size": page_charts.tradeoff_chart(_with_accuracy(found, measured), "size_bytes", anchor),
            "latency": page_charts.tradeoff_chart(_with_accuracy(found, measured), "latency_p50_ms", anchor),
            "curve": page_charts.curve_chart(rows["figures/figure2"], anchor),
            "samplings": page_charts.sampling_chart(rows.get("figures/sampling", []), anchor),
            "rows": page_charts.rows_chart(rows.get("figures/rows", []), anchor),
        },
        worth=_equivalence(rows.get("figures/rows", [])),
        detail=_details_caption(per_class[0]),
        errors=page_tables.worst_errors(read_csv_rows(files["errors"])),
        samples=page_tables.samples(rows["tables/table4"]),
        models=source_models(sources.results, name, config),
        hashes=data_hashes(sources.train[name], sources.test[name]),
        deployed=deployed,
        sampling_note=sampling_note(rows.get("figures/sampling", [])),
    )


def _equivalence(rows: Sequence[CsvRow]) -> str | None:
    known = [row for row in rows if row["equal_unlabelled"]]
    if not known:
        return None
    last = known[-1]
    rows_alike = format_count(last["equal_unlabelled"])
    told = f"at least {rows_alike}, the most that there are," if last["is_lower_bound"] == "True" else rows_alike
    return f"{format_count(last['n_synthetic'])} generated rows raise the accuracy as much as {told} real rows without labels"


def _details_caption(row: CsvRow) -> str:
    runs = int(row["runs"])
    return f"{row['system']}, {f'all {runs} seeds together' if runs > 1 else 'one seed'}"


def _parameter_size(system: str | None, runs: Sequence[MetricsRow], dataset: str) -> list[tuple[str, str, str]]:
    """Return the best student's size as a key figure, and by how much its teacher is larger."""
    weights = {run["system"]: run["n_parameters"] for run in runs if run["dataset"] == dataset and run["n_parameters"]}
    if system not in weights:
        return []
    mine = weights[system]
    size = f"{mine * 4 / 1e6:.1f} MB" if mine >= 250_000 else f"{mine * 4 / 1e3:.0f} kB"
    remark = f"{size} in 32-bit floats"
    if "teacher" in weights:
        remark += f"; the teacher has {weights['teacher'] / mine:.0f} times as many"
    return [("Size", f"{mine:,} weights", remark)]


def _measured_costs(sources: ReportInputs, dataset: str) -> list[dict[str, Any]]:
    """Return the measured costs of a dataset's systems, none where the study has not measured."""
    if COSTS not in sources.tables:
        return []
    columns = ["dataset", "system", "runtime", "size_bytes", "latency_p50_ms", "latency_p95_ms", "rows_per_second"]
    rows = read_parquet(sources.tables[COSTS], columns).to_pylist()
    return [row for row in rows if row["dataset"] == dataset]


def _with_accuracy(found: Sequence[Mapping[str, Any]], measured: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what was measured of the systems that have an accuracy, with it."""
    scores = {row["system"]: row for row in found if row["accuracy"] is not None}
    return [{**scores[row["system"]], **row} for row in measured if row["system"] in scores]
