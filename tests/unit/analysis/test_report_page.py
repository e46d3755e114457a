"""The report as one page: its figures, its safety, and the scores behind it."""

import csv
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.figure import Figure
from report_fixtures import read_csv
from sklearn.metrics import confusion_matrix as sklearn_confusion
from sklearn.metrics import precision_recall_fscore_support
from study_fixtures import CLASSES, HOSTILE, TOKENISED, export, finish, predictions, sources, study_in

from gendist.analysis.figure_style import inline_svg, shared_legend, style_context
from gendist.analysis.metrics_table import read_runs
from gendist.analysis.report.class_plots import FIGURE_WIDTH, confusion_plot, new_figure, reliability_plot
from gendist.analysis.report.system_details import read_temperatures, write_details
from gendist.analysis.report_page import page_charts
from gendist.analysis.report_page.page_summary import key_figures, sampling_note, summary_sentence
from gendist.analysis.report_page.stage_costs import cost_table, stage_costs
from gendist.analysis.report_page.system_legend import describe_system
from gendist.analysis.report_page.write_report import write_report
from gendist.config.default_systems import PAPER_SYSTEMS, UNLABELLED_SYSTEMS
from gendist.config.study_plan import detailed_runs
from gendist.errors import GendistError
from gendist.io import escape
from gendist.io.json_files import write_json
from gendist.io.parquet import write_parquet
from gendist.io.provenance import Provenance
from gendist.naming import BASELINES
from gendist.stages.evaluation.class_scores import bootstrap_intervals, class_scores, confusion_matrix, reliability_bins
from gendist.stages.evaluation.metrics import ece
from gendist.stages.export.classifier_page.page_mark import MARK
from gendist.stages.export.classifier_page.write_page import write_notice

# --- figures ---


def test_a_legend_has_as_many_columns_as_fit():
    for letters, lines in ((4, 1), (60, 2)):
        with style_context(themed=True):
            figure, axes = new_figure(FIGURE_WIDTH, 4.0)
            for letter in "ab":
                axes.plot([0], [0], label=letter * letters)
            shared_legend(figure, [axes], columns=2)
            figure.draw_without_rendering()
        (legend,) = figure.legends
        assert len({round(text.get_window_extent().y0) for text in legend.get_texts()}) == lines


def test_the_legend_of_figure_2_is_no_wider_than_the_figure(monkeypatch: pytest.MonkeyPatch):
    figures: list[Figure] = []
    monkeypatch.setattr(page_charts, "_inline", lambda figure, name: figures.append(figure))
    row = {"runs": "5", "accuracy": "69.5", "sd": "0.7"}
    systems = (("kim+synthetic", "2500"), ("teacher", ""), ("kim+gendist", ""), ("kim+dist", ""))
    page_charts.curve_chart([{"system": name, "n_synthetic": count, **row} for name, count in systems], "news")
    (legend,) = figures[0].legends
    assert len(legend.get_texts()) == 4 and legend.get_window_extent().width <= figures[0].bbox.width


# --- scores of classes, calibration ---


def test_confusion_and_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    counts = confusion_matrix(labels, predicted, 4)
    assert np.array_equal(counts, sklearn_confusion(labels, predicted))
    expected = precision_recall_fscore_support(labels, predicted)[:3]
    assert np.allclose(class_scores(counts), np.transpose(expected))


def test_confusion_sums_over_runs():
    labels = np.array([0, 1, 1])
    runs = np.array([[0, 1, 0], [0, 0, 1]])
    assert confusion_matrix(labels, runs, 2).tolist() == [[2, 0], [2, 2]]


def test_a_class_that_is_never_named_has_no_precision():
    scores = class_scores(confusion_matrix(np.array([0, 1]), np.array([0, 0]), 3))
    assert np.isnan(scores[1, 0]) and scores[1, 1] == 0
    assert np.isnan(scores[2]).all()


def test_intervals_hold_the_score_and_narrow_with_more_rows():
    rng = np.random.default_rng(1)
    widths = []
    for rows in (50, 5000):
        labels = np.arange(rows) % 2
        predicted = np.where(rng.random(rows) < 0.8, labels, 1 - labels)
        low, high = bootstrap_intervals(labels, predicted[None], 2)
        scores = class_scores(confusion_matrix(labels, predicted, 2))
        assert (low <= scores).all() and (scores <= high).all()
        widths.append(float((high - low)[0, 1]))
    # recall of 0.8 over 2,500 rows: 1.96 * sqrt(0.16 / 2500) = 0.0157 to each side
    assert widths[1] == pytest.approx(2 * 0.0157, rel=0.15)
    assert widths[0] > 5 * widths[1]


def test_intervals_are_the_same_every_time_and_are_of_rows_not_of_seeds():
    labels = np.arange(60) % 2
    predicted = np.where(np.arange(60) % 7 == 0, 1 - labels, labels)
    one = bootstrap_intervals(labels, predicted[None], 2)
    assert np.array_equal(one, bootstrap_intervals(labels, predicted[None], 2))
    assert np.array_equal(one, bootstrap_intervals(labels, np.stack([predicted] * 3), 2))


def test_reliability_bins_say_how_sure_and_how_right():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.45, 0.55]])
    bins = reliability_bins(np.array([0, 1, 1]), probabilities, bins=2)
    assert bins.rows.tolist() == [0, 3]
    assert np.isnan(bins.accuracy[0])
    assert bins.confidence[1] == pytest.approx(0.75) and bins.accuracy[1] == pytest.approx(2 / 3)
    logits = np.random.default_rng(0).normal(size=(300, 5)) * 2
    labels = np.random.default_rng(1).integers(0, 5, 300)
    likely = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert reliability_bins(labels, likely).ece == pytest.approx(ece(labels, logits))


# --- files of one dataset ---


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study with its details."""
    folder = tmp_path_factory.mktemp("study") / "results"
    finish(study_in(folder))
    details(folder)
    return folder


def details(results: Path, **options: dict[str, float]) -> None:
    test = results / "news/texts/test.parquet"
    write_details(
        predictions(results),
        test,
        figures=results / "figures/news",
        errors=results / "tables/news/errors.csv",
        **options,
    )


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_details_are_of_the_better_student_over_its_seeds(results: Path):
    per_class = rows_of(results / "figures/news/per_class.csv")
    assert {(row["system"], row["runs"], row["rows"]) for row in per_class} == {("res+gendist", "2", "20")}
    counts = rows_of(results / "figures/news/confusion.csv")
    assert sum(int(v) for row in counts for k, v in row.items() if k != "gold") == 2 * 40
    # seed 0 errs in rows 0, 10, 20, 30 (all of class 0), seed 1 in 1, 11, 21, 31 (of class 1)
    assert [list(row.values())[1:] for row in counts] == [["36", "4"], ["4", "36"]]
    assert float(per_class[0]["recall"]) == pytest.approx(90)
    assert float(per_class[0]["recall low"]) < 90 < float(per_class[0]["recall high"])
    for name in ("confusion", "per_class", "reliability"):
        for kind in ("svg", "png"):
            assert (results / f"figures/news/{name}.{kind}").stat().st_size > 1000


def test_equal_inputs_give_equal_bytes(results: Path, tmp_path: Path):
    test = results / "news/texts/test.parquet"
    write_details(predictions(results), test, figures=tmp_path / "a", errors=tmp_path / "a/errors.csv")
    for file in (results / "figures/news").iterdir():
        assert (tmp_path / "a" / file.name).read_bytes() == file.read_bytes(), file.name


def test_worst_errors_are_wrong_by_the_mean_of_the_seeds(tmp_path: Path):
    finish(study_in(tmp_path))
    files = {"res+gendist": predictions(tmp_path)["res+gendist"][:1]}
    write_details(files, tmp_path / "news/texts/test.parquet", figures=tmp_path / "f", errors=tmp_path / "errors.csv")
    found = rows_of(tmp_path / "errors.csv")
    assert [int(row["id"]) for row in found] == [10, 20, 30, 40]
    assert {row["gold"] for row in found} == {CLASSES[0]} and {row["predicted"] for row in found} == {CLASSES[1]}
    # logits 0 and 2
    assert float(found[0]["probability"]) == pytest.approx(100 / (1 + np.exp(-2)), abs=1e-3)


def test_an_export_adds_its_temperature(results: Path, tmp_path: Path):
    choice = tmp_path / "news/export/choice.json"
    choice.parent.mkdir(parents=True)
    choice.write_text('{"ranking": [{"system": "res+gendist", "temperature": 0.5}]}')
    temperatures = read_temperatures(choice)
    assert temperatures == {"res+gendist": 0.5}
    test = results / "news/texts/test.parquet"
    write_details(
        predictions(results), test, figures=tmp_path, errors=tmp_path / "errors.csv", temperatures=temperatures
    )
    found = rows_of(tmp_path / "reliability.csv")
    assert list(dict.fromkeys(row["calibration"] for row in found)) == ["as trained", "temperature 0.5"]
    sure = [float(row["confidence"]) for row in found if row["confidence"]]
    assert sure == pytest.approx([100 / (1 + np.exp(-2)), 100 / (1 + np.exp(-4))], abs=1e-3)


@pytest.mark.parametrize("content", ["{", "[]", '{"ranking": 3}', '{"ranking": [{"system": "a"}]}'])
def test_a_damaged_choice_is_refused(tmp_path: Path, content: str):
    choice = tmp_path / "news/export/choice.json"
    choice.parent.mkdir(parents=True)
    choice.write_text(content)
    with pytest.raises(GendistError, match=r"choice\.json: "):
        read_temperatures(choice)


def test_predictions_of_other_rows_are_refused(results: Path):
    with pytest.raises(GendistError, match="its rows are not those of"):
        write_details(
            predictions(results), results / "news/texts/train.parquet", figures=results, errors=results / "errors.csv"
        )


def test_detailed_runs_are_the_main_gendist_runs(tmp_path: Path):
    runs = detailed_runs(study_in(tmp_path))
    assert {(run.student, run.regime, run.n_synthetic, run.seed) for run in runs} == {
        (student, "gendist", 6, seed) for student in ("kim", "res") for seed in (0, 1)
    }


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
    folder = description.parent.as_posix()
    assert f"gendist predict {folder} TEXTS.csv -o labels.csv" in shown and f'TextClassifier.load("{folder}")' in shown
    assert "kim+gendist, chosen on training" in shown and "77.5 % of the test rows right" in shown
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


def test_confusion_is_in_percent_of_the_true_class():
    figure = confusion_plot(["a", "b"], np.array([[199, 1], [30, 10]]))
    assert [text.get_text() for text in figure.axes[0].texts] == ["100", "<1", "75", "25"]
    assert figure.axes[0].get_ylabel() == "true class"
    # Whatever the colours of the page: its own ink on a colour that is never strong.
    assert max(cell.get_alpha() for cell in figure.axes[0].patches) == pytest.approx(0.55, abs=0.01)


def test_bins_of_few_predictions_are_not_drawn():
    rows = [
        {"predictions": count, "confidence": 100 * place - 5, "accuracy": 50}
        for place, count in ((1, 9), (2, 10), (3, 400))
    ]
    figure = reliability_plot({"as trained": rows})
    (curve,) = [line for line in figure.axes[0].lines if line.get_label() == "as trained"]
    assert list(curve.get_xdata()) == [195, 295]
    assert len(figure.axes[1].patches) == 3  # their share is


def test_a_missing_table_is_named(results: Path, tmp_path: Path):
    broken = sources(results)
    tables = {**broken.tables, "tables/gains": tmp_path / "gains.csv"}
    with pytest.raises(GendistError, match=r"gains\.csv: no such file"):
        write_report(type(broken)(**{**vars(broken), "tables": tables}), tmp_path / "report.html")


def test_names_of_classes_are_no_formulas_in_figures():
    with style_context(themed=True):
        svg = inline_svg(confusion_plot(["$x$ <b>", "\u4f60\u597d"], np.array([[1, 0], [2, 3]])), "a1")
    assert "$x$ &lt;b&gt;" in svg and "\u4f60\u597d" in svg


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
    told = {what: value for what, value, _ in key_figures([gain_row(), gain_row(student="res", gendist="80")], {})}
    assert told["Best student"] == "res+gendist"
    assert told["Share of its teacher"] == "88.9\u00a0%"
    assert told["Gain over plain distillation"] == "+3.2 points"
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
