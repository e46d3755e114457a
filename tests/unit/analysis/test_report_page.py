"""The report as one page: its parts, its safety, its summary and its costs."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest
from report_fixtures import read_csv
from study_fixtures import HOSTILE, TOKENISED, details, export, finish, sources, study_in

from gendist.analysis.metrics_table import read_runs
from gendist.analysis.report_page.page_summary import key_figures, sampling_note, summary_sentence
from gendist.analysis.report_page.stage_costs import cost_table, stage_costs
from gendist.analysis.report_page.system_legend import describe_system
from gendist.analysis.report_page.write_report import write_report
from gendist.config.default_systems import PAPER_SYSTEMS, UNLABELLED_SYSTEMS
from gendist.errors import GendistError
from gendist.io import escape
from gendist.io.json_files import read_json, write_json
from gendist.io.parquet import write_parquet
from gendist.io.provenance import Provenance
from gendist.naming import BASELINES
from gendist.stages.export.classifier_page.page_mark import MARK
from gendist.stages.export.classifier_page.write_page import write_notice

# --- the page ---


class Page(HTMLParser):
    """What a browser would make of a page: elements, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def page(results: Path) -> str:
    write_report(sources(results), results / "report.html")
    return (results / "report.html").read_text(encoding="utf-8")


def test_the_page_asks_for_nothing_and_runs_nothing(page: str):
    read = Page(page)
    assert not {"script", "link", "iframe", "object", "embed", "form", "base", "img"} & set(read.tags)
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    targets = [value for name, value in read.attributes if name in ("href", "src", "xlink:href")]
    assert targets and all(value.startswith("#") for value in targets)
    assert "@import" not in page and not re.search(r"url\((?!#)", page)
    policy = next(value for name, value in read.attributes if name == "content" and "default-src" in value)
    assert policy.startswith("default-src 'none'; ") and "script-src" not in policy


def test_generated_texts_are_shown_detokenised(page: str, results: Path):
    drawn = {row["generated text"] for row in read_csv(results / "tables/table4.csv")}
    assert any(text.startswith(TOKENISED) for text in drawn)  # as generated
    shown = "".join(Page(page).texts)
    assert "the sea's < i > and the sky's 3,000 (odd) birds: row" in shown and TOKENISED not in shown
    assert "the sea&#39;s &lt; i &gt; and" in page and "shown detokenised" in page


def test_texts_with_markup_are_shown_as_texts(page: str, results: Path):
    assert "<script" not in page and "<b>sea" not in page
    shown = "".join(Page(page).texts)
    assert HOSTILE in shown  # a test row among the errors, and the generated rows
    assert f"={HOSTILE} row" in shown and f"'={HOSTILE}" not in shown
    assert "<b>sea</b>" in shown and "sky $x$" in shown
    assert page.count("</svg>") == page.count("<svg")


def test_the_page_has_every_part(page: str):
    shown = "".join(Page(page).texts)
    for part in (
        "Accuracy of every system",
        "What each step brings",
        "Sampling strategies compared",
        "Hard labels or distillation",
        "Confusion.",
        "Reliability.",
        "Scores of each class",
        "Surest errors",
        "Generated rows",
        "Memorisation",
        "Cost",
        "Origin",
    ):
        assert part in shown, part
    assert "res+gendist" in shown and "ab" * 32 in shown
    assert "Accuracy against size" not in shown and "Accuracy against latency" not in shown and "Quality" not in shown


def test_every_link_leads_to_one_place(page: str):
    read = Page(page)
    assert len(read.ids) == len(set(read.ids))
    targets = {value[1:] for name, value in read.attributes if name in ("href", "xlink:href")}
    assert targets <= set(read.ids)


def require_page_colours(page: str, count: int) -> None:
    figures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(figures) == count
    for figure in figures:
        assert "currentColor" in figure
        assert not re.findall(r"#[0-9a-f]{6}\b|white|black", figure)


def test_colours_are_those_of_the_page(page: str):
    require_page_colours(page, 5)
    assert "prefers-color-scheme: dark" in page and "@media print" in page


def test_costs_and_quality_are_shown_where_they_were_measured(tmp_path: Path):
    finish(study_in(tmp_path))
    details(tmp_path)
    columns = ("size_bytes", "latency_p50_ms", "latency_p95_ms", "rows_per_second")
    rows = [
        {"dataset": "news", "system": name, "runtime": runtime, **dict(zip(columns, values, strict=True))}
        for name, runtime, values in (
            ("teacher", "torch", (9e7, 20.0, 30.0, 50.0)),
            ("res+gendist", "torch", (4.4e6, 0.4, 0.6, 2500.0)),
            ("res+gendist", "exported (ONNX Runtime, int8)", (1.1e6, 0.1, 0.2, 9000.0)),
        )
    ]
    write_parquet(tmp_path / "costs.parquet", pa.Table.from_pylist(rows), Provenance("costs"))
    (tmp_path / "tables/quality.csv").write_text("dataset,pool,distinct\nnews,<i>full</i>,0.83\nother,x,0.1\n")
    write_report(sources(tmp_path), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    require_page_colours(page, 7)
    shown = "".join(Page(page).texts)
    assert "Accuracy against size." in shown and "Accuracy against latency." in shown
    assert "1.10" in shown and "2,500" in shown and "res+gendist, as deployed" in shown
    assert "Quality" in shown and "<i>full</i>" in shown and "0.83" in shown


def test_the_exported_model_is_shown_as_it_is_deployed(tmp_path: Path):
    finish(study_in(tmp_path))
    details(tmp_path)
    export(study_in(tmp_path), system="kim+gendist")
    measured = tmp_path / "news/costs/export/model.json"
    write_json(measured, {"latency_p50_ms": 0.05, "device": "a core"})
    description = tmp_path / "news/export/model/gendist-model.json"
    known = replace(sources(tmp_path), exports={"news": description}, deployed={"news": measured})
    write_report(known, tmp_path / "report.html")
    shown = "".join(Page((tmp_path / "report.html").read_text()).texts)
    assert "1.2\u00a0MB" in shown and "50\u00a0µs" in shown and "0.7\u00a0MB of tokenizer" in shown
    assert "in 32-bit floats" not in shown  # the checkpoint's size
    assert "kim+gendist as deployed: 8-bit weights" in shown and "kim+gendist as deployed: median for" in shown
    folder = description.parent.as_posix()
    assert f"gendist predict {folder} TEXTS.csv -o labels.csv" in shown and f'TextClassifier.load("{folder}")' in shown
    assert "kim+gendist, chosen on training" in shown and "77.5 % of the test rows right" in shown
    assert "install gendist[predict,onnx] there" in shown
    described = read_json(description)
    described["bytes"]["look-up.safetensors"] = 1_240_000
    write_json(description, described)
    write_report(known, tmp_path / "report.html")
    shown = "".join(Page((tmp_path / "report.html").read_text()).texts)
    assert "install gendist[predict] there" in shown
    page = tmp_path / "news/export/classifier.html"
    with_page = replace(known, pages={"news": page})
    for writes, link in ((lambda: page.write_bytes(MARK), True), (lambda: write_notice(page, "no"), False)):
        writes()
        write_report(with_page, tmp_path / "report.html")
        assert ('<a href="news/export/classifier.html">' in (tmp_path / "report.html").read_text()) is link
    description.write_text("{}")
    with pytest.raises(GendistError, match=r"gendist-model\.json: damaged"):
        write_report(known, tmp_path / "report.html")


def test_without_an_export_the_page_says_how_to_get_one(page: str):
    shown = "".join(Page(page).texts)
    assert "This study exported no classifier" in shown and "in 32-bit floats" in shown


def test_every_system_is_explained(page: str, results: Path):
    shown = "".join(Page(page).texts)
    assert "small convolutional network of one layer (Kim 2014), trained on the labelled texts alone" in shown
    assert "res+gendist" in shown and "three layers (with residual connections), trained to give the teacher's" in shown
    for system in (*PAPER_SYSTEMS, *BASELINES, *UNLABELLED_SYSTEMS, "kim+synthetic", "kim+hard"):
        words = describe_system(system, {"kim": {"architecture": "kim"}, "res": {"architecture": "res"}})
        assert len(words.split()) > 5 and "+" not in words, system
    assert describe_system("mine+dist", {"mine": {"architecture": "gru"}}).startswith("small network 'gru', trained to")


@pytest.mark.parametrize(
    ("accuracies", "said"),
    [
        ({"full": (0.7, 0.8), "cool": (0.6, 0.7)}, "own strategy, full, is the best"),
        (
            {"full": (0.6, 0.7), "cool": (0.7, 0.81)},
            "full (65.0\u00a0%), is not the best of them here: cool has 75.5\u00a0%",
        ),
        ({"full": (0.6,), "cool": (0.7,)}, "(+10.0 points, which may be chance). To use it, put it first under"),
    ],
)
def test_a_better_sampling_than_the_study_s_own_is_named(accuracies: dict[str, tuple[float, ...]], said: str):
    rows = [
        {"sampling": name, "seed": str(seed), "accuracy": f"{100 * value}"}
        for name, values in accuracies.items()
        for seed, value in enumerate(values)
    ]
    assert said in str(sampling_note(rows))
    assert sampling_note([row for row in rows if row["sampling"] == "full"]) is None


def test_a_missing_table_is_named(results: Path, tmp_path: Path):
    broken = sources(results)
    tables = {**broken.tables, "tables/gains": tmp_path / "gains.csv"}
    with pytest.raises(GendistError, match=r"gains\.csv: no such file"):
        write_report(type(broken)(**{**vars(broken), "tables": tables}), tmp_path / "report.html")


def test_a_cell_that_was_guarded_against_spreadsheets_is_read_back():
    for text in ("=1+1", "-x", "plain", "'quoted'"):
        assert escape.from_csv(escape.csv(text)) == text


# --- the first words ---


def gain_row(**changed: str) -> dict[str, str]:
    row = {"student": "kim", "variant": "main", "teacher": "90", "gendist - dist difference": "3.2"}
    row |= {"gendist - dist p": "0.0004", "gendist - dist pairs": "5"}
    for regime, mean in (("scratch", "70"), ("dist", "72"), ("gendist", "75.2")):
        row |= {regime: mean, f"{regime} sd": "0.5", f"{regime} runs": "5"}
    return row | changed


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "That is 3.2 points more than the same student distilled on the real rows alone"),
        ({"gendist - dist p": "0.3"}, "which may be chance"),
        ({"gendist - dist p": ""}, "no test was possible"),
        ({"gendist": "71", "gendist - dist difference": "-1"}, "Generated rows did not make the best one; with them"),
        ({"gendist": "", "gendist sd": "", "gendist runs": "0"}, "No student was trained on generated rows."),
    ],
)
def test_the_summary_says_no_more_than_the_figures(changed: dict[str, str], said: str):
    assert said in summary_sentence([gain_row(**changed)])


def test_the_summary_names_the_best_student_and_its_share_of_the_teacher():
    shown = {what: value for what, value, _ in key_figures([gain_row(), gain_row(student="res", gendist="80")], {})}
    assert shown["Best student"] == "res+gendist"
    assert shown["Share of its teacher"] == "88.9\u00a0%"
    assert shown["Gain over plain distillation"] == "+3.2 points"
    assert key_figures([gain_row(variant="training paper")], {}) == []


# --- cost ---


def test_cost_is_summed_by_stage(results: Path):
    logs = results / "logs"
    for name, seconds in (("generators/pocket", 120), ("synthetic/pocket/full/shard-00000", 8)):
        file = logs / f"news/{name}.benchmark.tsv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"s\th:m:s\n{seconds}\t0:00:01\n")
    (logs / "news/synthetic/pocket/full/shard-00001.benchmark.tsv").write_text("")  # of a job that was killed
    costs = {c.stage: c for c in stage_costs(results, logs, "news", read_runs(results / "metrics.parquet"))}
    assert costs["finetune the generator"].seconds == 120
    assert (costs["generate rows"].rows, costs["generate rows"].tokens, costs["generate rows"].jobs) == (4, 20, 1)
    assert costs["train the students"].jobs == 4 + 2 * 7 and "finetune the teacher" not in costs
    table = cost_table(list(costs.values()))
    assert ["generate rows", "1", "8 s", "4", "0.5", "2.5"] in table.rows
    assert table.rows[-1][0] == "together"


def test_two_datasets_stand_one_after_the_other(results: Path, tmp_path: Path):
    one = sources(results)
    twice = {name: {d: vars(one)[name]["news"] for d in ("news", "more")} for name in ("train", "test", "details")}
    write_report(type(one)(**{**vars(one), **twice}), tmp_path / "report.html")
    read = Page((tmp_path / "report.html").read_text())
    assert len(read.ids) == len(set(read.ids)) and {"d0", "d1"} < set(read.ids)
    shown = "".join(read.texts)
    assert shown.count("Confusion.") == 2
    assert shown.count("This study trained no student on this dataset.") == 1  # no table names a dataset "more"
