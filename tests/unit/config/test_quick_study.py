"""The quick study of a config: what it shortens, what it keeps, and under which names."""

import pytest

from gendist.config import Study, study_from
from gendist.config.quick_study import quick_study
from gendist.config.study_plan import can_export, export_candidates, planned_runs

DATASET = {"train": "a.csv", "test": "b.csv", "synthetic": 1500}


def study(**keys: object) -> Study:
    return study_from({"datasets": {"news": DATASET}, **keys})


def test_the_defaults_become_one_student_of_short_trainings():
    quick = quick_study(study())
    assert quick.systems == ["kim-general+gendist"] and quick.seed_list == [0] and quick.counts == []
    assert list(quick.teachers) == ["minilm-quick"] and list(quick.generators) == ["pocket-quick"]
    teacher, generator = quick.teachers["minilm-quick"], quick.generators["pocket-quick"]
    assert (teacher.epochs, teacher.members, teacher.refit) == (2, 1, False)
    assert (generator.epochs, generator.held_out) == (1, 0.0)
    assert teacher.learning_rate == study().teachers["minilm"].learning_rate
    assert (quick.datasets["news"].synthetic, quick.shard_rows, quick.results) == (500, 250, "results")
    assert [run.student for run in export_candidates(quick, "news")] == ["kim-general"]
    assert study_from(quick.model_dump(mode="json")) == quick


def test_what_is_short_already_keeps_its_name_and_its_files():
    light = study(
        teachers={"t": {"model": "minilm", "epochs": 2, "refit": False}},
        generators={"g": {"model": "pocket", "held_out": 0.1}},
        datasets={"news": {**DATASET, "synthetic": 400}},
        seeds=3,
    )
    quick = quick_study(light)
    assert quick.teachers == light.teachers and quick.generators == light.generators
    assert quick.shard_rows == light.shard_rows and quick.datasets == light.datasets
    candidates = {run for run in planned_runs(light) if run.student == "kim-general" and run.regime == "gendist"}
    assert set(export_candidates(quick, "news")) < candidates


@pytest.mark.parametrize(
    ("keys", "system"),
    [
        ({"systems": ["res+gendist", "kim+gendist"]}, "kim+gendist"),
        ({"systems": ["kim+gendist"], "export": {"systems": ["res-general+dist"]}}, "res-general+dist"),
        ({"systems": ["tfidf-svm"]}, "kim+gendist"),
        ({"systems": ["kim+unlabelled"], "datasets": {"news": {**DATASET, "unlabelled": "u.csv"}}}, "kim+unlabelled"),
    ],
)
def test_the_student_is_a_candidate_of_the_export(keys: dict, system: str):
    quick = quick_study(study(**keys))
    assert quick.systems == quick.export.systems == [system]


def test_unlabelled_rows_are_read_where_the_student_needs_them():
    dataset = {**DATASET, "unlabelled": "u.csv"}
    assert quick_study(study(datasets={"news": dataset})).datasets["news"].unlabelled is None
    needing = study(datasets={"news": dataset}, systems=["kim-general+gendist+unlabelled"])
    assert quick_study(needing).datasets["news"].n_unlabelled == 1000


def test_a_name_that_is_taken_stays_another_entry_s():
    taken = study(teachers={"t": {"model": "minilm"}, "t-quick": {"model": "minilm", "epochs": 9}})
    assert list(quick_study(taken).teachers) == ["t-quick-"]


def test_given_rows_are_taken_as_they_are():
    quick = quick_study(study(generators={"llm": {"rows": "rows.csv"}}))
    assert quick.generators["llm"].rows == "rows.csv" and quick.shard_rows == 500


def test_students_of_bpemb_cannot_be_exported():
    students = {"kim": {"embeddings": "bpemb:en/10000/100"}}
    assert not can_export(quick_study(study(students=students, systems=["kim+gendist"])))
