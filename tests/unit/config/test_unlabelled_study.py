"""A study with unlabelled rows: its systems, its runs, and the configs that are refused."""

from typing import Any

import pytest

from gendist.config import study_from
from gendist.config.default_systems import GENERAL_SYSTEMS, PAPER_SYSTEMS, UNLABELLED_SYSTEMS
from gendist.config.study_plan import export_candidates, planned_runs, timed_runs
from gendist.errors import GendistError
from gendist.naming import parse_system, regime_of

FILES = {"train": "a.csv", "test": "b.csv", "synthetic": 2000}
MORE = {**FILES, "unlabelled": "more.csv", "unlabelled_rows": 700}


def test_a_study_without_unlabelled_rows_has_no_unlabelled_systems():
    plain = study_from({"datasets": {"news": FILES}})
    assert plain.systems == [*PAPER_SYSTEMS, *GENERAL_SYSTEMS]
    assert not {"unlabelled", "unlabelled_rows"} & set(plain.model_dump(mode="json")["datasets"]["news"])
    assert "rows" not in plain.model_dump(mode="json")["generators"]["pocket"]
    assert {run.regime for run in planned_runs(plain)} == {"scratch", "dist", "gendist", "synthetic", "hard"}


def test_unlabelled_rows_bring_their_systems_and_the_runs_of_their_figure():
    study = study_from({"datasets": {"news": MORE, "bare": FILES}, "counts": [500, 1000], "seeds": 1})
    assert study.systems == [*PAPER_SYSTEMS, *GENERAL_SYSTEMS, *UNLABELLED_SYSTEMS]
    assert study_from(study.model_dump(mode="json")) == study
    runs = planned_runs(study)
    assert not any("unlabelled" in run.regime for run in runs if run.dataset == "bare")
    found = {(run.system, run.variant, run.n_synthetic) for run in runs if "unlabelled" in run.regime}
    both = "minilm.pocket.nucleus.default"
    assert found == {
        *(("kim+unlabelled", "minilm.default", count) for count in (500, 700)),
        *(("kim+gendist+unlabelled", both, count) for count in (500, 1000, 2000)),
        ("res+unlabelled", "minilm.default", 700),
        ("res+gendist+unlabelled", both, 2000),
        ("kim-general+unlabelled", "minilm.default", 700),
        ("kim-general+gendist+unlabelled", both, 2000),
    }
    gendist = {run.n_synthetic for run in runs if run.dataset == "news" and run.system == "kim+gendist"}
    assert gendist == {500, 1000, 2000}
    assert {run.n_synthetic for run in runs if run.dataset == "bare" and run.system == "kim+gendist"} == {2000}
    synthetic = ["kim+gendist", "res+gendist", *GENERAL_SYSTEMS[-2:]]
    assert [run.system for run in export_candidates(study, "bare")] == synthetic
    candidates = [run.system for run in export_candidates(study, "news")]
    assert candidates == [*synthetic, *UNLABELLED_SYSTEMS]


def test_as_many_unlabelled_rows_as_synthetic_ones_by_default():
    study = study_from({"datasets": {"news": {**MORE, "unlabelled_rows": None}}, "systems": ["res+unlabelled"]})
    assert study.datasets["news"].n_unlabelled == 2000
    assert timed_runs(study, "news")["res"].n_synthetic == 2000
    assert study.systems == ["res+unlabelled"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"systems": ["kim+unlabelled"]},
            "systems: 'kim+unlabelled' needs 'unlabelled' (a file), not set in datasets.d",
        ),
        ({"export": {"systems": ["kim+unlabelled"]}}, "export.systems: 'kim+unlabelled' needs 'unlabelled'"),
        ({"datasets": {"d": {**FILES, "unlabelled_rows": 3}}}, "'unlabelled_rows' belongs to 'unlabelled'"),
        ({"datasets": {"d": {**FILES, "unlabelled": "m", "unlabelled_rows": 0}}}, "unlabelled_rows' is 0"),
        ({"systems": ["kim+gendist-unlabelled"]}, "system 'kim+gendist-unlabelled' is unknown"),
        ({"systems": ["kim+unlabelled+gendist"]}, "STUDENT+unlabelled, STUDENT+gendist+unlabelled, where"),
    ],
)
def test_impossible_configs_end_in_one_line(content: dict[str, Any], message: str):
    with pytest.raises(GendistError) as caught:
        study_from({"datasets": {"d": FILES}, **content})
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_names_of_systems_have_one_spelling():
    assert parse_system("kim+gendist+unlabelled", ["kim"]) == ("kim+gendist+unlabelled", "kim", "gendist-unlabelled")
    assert (regime_of("kim"), regime_of("tfidf-svm"), regime_of("a-b+unlabelled")) == ("", "", "unlabelled")
