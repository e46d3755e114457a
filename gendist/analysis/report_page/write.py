"""Put the page together from the study's files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gendist import __version__
from gendist.analysis.metrics_table import Run, read_runs
from gendist.analysis.report_page import charts, tables
from gendist.analysis.report_page.cost import cost_table, stage_costs
from gendist.analysis.report_page.deployed import Deployed, read_deployed
from gendist.analysis.report_page.legend import legend_table
from gendist.analysis.report_page.provenance import data_hashes, source_models, versions
from gendist.analysis.report_page.sources import COSTS, Row, Sources, Table, read_rows, whole
from gendist.analysis.report_page.summary import best_student, facts, sampling_note, sentence
from gendist.analysis.report_page.tables import Sample
from gendist.errors import GendistError
from gendist.io.atomic_files import write_text
from gendist.io.parquet import read_parquet
from gendist.stages.texts.text_tables import read_texts


@dataclass(frozen=True)
class Section:
    """All that the page says of one dataset."""

    name: str
    anchor: str
    data: str
    """Classes and rows in words."""
    facts: list[tuple[str, str, str]]
    sentence: str
    tables: dict[str, Table | None]
    charts: dict[str, Markup | None]
    worth: str | None
    """What the generated rows are worth in unlabelled ones, where the dataset has such."""
    detail: str
    """Name of the system that is shown in detail, and of how many runs."""
    errors: list[Row]
    samples: list[Sample]
    models: list[tuple[str, str, str]]
    hashes: list[tuple[str, str]]
    deployed: Deployed | None
    """The exported model; None for a study that exports nothing."""
    sampling_note: str | None
    """Whether the study's own sampling strategy is the best."""


def write_report(sources: Sources, target: Path) -> None:
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
        environment()
        .get_template("page.html")
        .render(sections=sections, config=text, versions=versions(), version=__version__)
    )
    write_text(target, page)


def environment() -> Environment:
    """Return the templates' environment: every value is escaped, and a missing one is an error."""
    return Environment(
        loader=PackageLoader("gendist.analysis.report_page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _section(sources: Sources, name: str, place: int, config: Mapping[str, Any], runs: Sequence[Run]) -> Section:
    anchor = f"d{place}"
    test, train = read_texts(sources.test[name]), read_texts(sources.train[name])
    files = sources.details[name]
    rows = {stem: read_rows(path, name) for stem, path in sources.tables.items() if path.suffix == ".csv"}
    gains = rows["tables/gains"]
    best = best_student(gains)
    found = tables.systems(read_rows(sources.tables["tables/table1"]), name)
    per_class = read_rows(files["per_class"])
    if not per_class:
        raise GendistError(f"{files['per_class']}: holds no rows; delete it and run again")
    measured = _costs(sources, name)
    deployed = read_deployed(sources, name)
    size = deployed.facts(measured) if deployed else _size(best.system if best else None, runs, name)
    return Section(
        name=name,
        anchor=anchor,
        data=f"{len(train.label_names)} classes, {len(train.texts):,} training rows, {len(test.texts):,} test rows",
        facts=facts(gains, config["students"]) + size,
        sentence=sentence(gains),
        tables={
            "systems": tables.systems_table(found, best.system if best else None),
            "legend": legend_table([row["system"] for row in found], config["students"]),
            "gains": tables.gains_table(gains),
            "costs": tables.costs_table(measured) if measured else None,
            "labelling": tables.labelling_table(rows["tables/table2"]) if rows["tables/table2"] else None,
            "samplings": tables.samplings_table(rows["figures/sampling"]) if rows.get("figures/sampling") else None,
            "classes": tables.classes_table(per_class),
            "memorisation": tables.plain_table(rows["tables/memorisation"]) if rows["tables/memorisation"] else None,
            "quality": tables.plain_table(rows["tables/quality"]) if rows.get("tables/quality") else None,
            "stages": cost_table(stage_costs(sources.results, sources.logs, name, runs)),
        },
        charts={
            **charts.details(files, test.label_names, anchor),
            "size": charts.tradeoff(_joined(found, measured), "size_bytes", anchor),
            "latency": charts.tradeoff(_joined(found, measured), "latency_p50_ms", anchor),
            "curve": charts.curve(rows["figures/figure2"], anchor),
            "samplings": charts.samplings(rows.get("figures/sampling", []), anchor),
            "rows": charts.further_rows(rows.get("figures/rows", []), anchor),
        },
        worth=_worth(rows.get("figures/rows", [])),
        detail=_detail(per_class[0]),
        errors=tables.worst_errors(read_rows(files["errors"])),
        samples=tables.samples(rows["tables/table4"]),
        models=source_models(sources.results, name, config),
        hashes=data_hashes(sources.train[name], sources.test[name]),
        deployed=deployed,
        sampling_note=sampling_note(rows.get("figures/sampling", [])),
    )


def _worth(rows: Sequence[Row]) -> str | None:
    known = [row for row in rows if row["equal_unlabelled"]]
    if not known:
        return None
    last = known[-1]
    rows_alike = whole(last["equal_unlabelled"])
    told = f"at least {rows_alike}, the most that there are," if last["is_lower_bound"] == "True" else rows_alike
    return f"{whole(last['n_synthetic'])} generated rows raise the accuracy as much as {told} real rows without labels"


def _detail(row: Row) -> str:
    runs = int(row["runs"])
    return f"{row['system']}, {f'all {runs} seeds together' if runs > 1 else 'one seed'}"


def _size(system: str | None, runs: Sequence[Run], dataset: str) -> list[tuple[str, str, str]]:
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


def _costs(sources: Sources, dataset: str) -> list[dict[str, Any]]:
    """Return the measured costs of a dataset's systems, none where the study has not measured."""
    if COSTS not in sources.tables:
        return []
    columns = ["dataset", "system", "runtime", "size_bytes", "latency_p50_ms", "latency_p95_ms", "rows_per_second"]
    rows = read_parquet(sources.tables[COSTS], columns).to_pylist()
    return [row for row in rows if row["dataset"] == dataset]


def _joined(found: Sequence[Mapping[str, Any]], measured: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what was measured of the systems that have an accuracy, with it."""
    scores = {row["system"]: row for row in found if row["accuracy"] is not None}
    return [{**scores[row["system"]], **row} for row in measured if row["system"] in scores]
