from collections import Counter
from pathlib import PurePath

import pytest
import torch
import yaml
from pydantic import ValidationError

from gendist.config import load_study, study_from
from gendist.config.default_systems import GENERAL_SYSTEMS, PAPER_SYSTEMS
from gendist.config.run_config import write_run_config
from gendist.config.student_settings import Student
from gendist.config.study_plan import planned_runs, sampling_count
from gendist.errors import GendistError
from gendist.naming import REGIMES, RunKey, parse_system, parse_variant, system_name, variant_name
from gendist.stages.students.architectures import ARCHITECTURES, build, register

FILES = {"train": "a.csv", "test": "b.csv"}


def study(synthetic=2000, **changed):
    return study_from({"datasets": {"news": {**FILES, "synthetic": synthetic}}, **changed})


def explained(content):
    with pytest.raises(GendistError) as caught:
        study_from(content, "my.yaml")
    message = str(caught.value)
    assert message.startswith("my.yaml: ") and "\n" not in message
    return message.removeprefix("my.yaml: ")


def test_six_lines_are_a_study():
    plain = study()
    assert plain.generator == "pocket" and plain.teacher == "minilm" and plain.sampling == "nucleus"
    assert plain.seed_list == [0, 1, 2, 3, 4] and plain.systems == [*PAPER_SYSTEMS, *GENERAL_SYSTEMS]
    assert study_from({"datasets": {"d": {**FILES, "text": "body"}}}).datasets["d"].text == ["body"]
    assert study(seeds=[3, 1]).seed_list == [3, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "key 'datasets' is missing"),
        ({"datasets": {}}, "key 'datasets' is {}; dictionary should have at least 1 item"),
        (
            {"dataset": {}},
            "unknown key 'dataset' (did you mean 'datasets'?); accepted here: datasets, gener",
        ),
        (
            {"datasets": {"d": {**FILES, "txt": "a"}}},
            "unknown key 'datasets.d.txt' (did you mean 'text'?); accepted here: train, test, hub",
        ),
        (
            {"samplings": {"hot": {"warmth": 2}}},
            "unknown key 'samplings.hot.warmth'; accepted here: temperature",
        ),
        ({"datasets": {"../x": FILES}}, "name '../x' in 'datasets' is not accepted: use letters, digits, '_' and '-'"),
        ({"datasets": {"a b": FILES}}, "name 'a b' in 'datasets' is not accepted"),
        (
            {"datasets": {"d": {**FILES, "synthetic": "many"}}},
            "key 'datasets.d.synthetic' is 'many'; input should be a",
        ),
        ({"datasets": {"d": {**FILES, "synthetic": 0}}}, "key 'datasets.d.synthetic' is 0; input should be greater"),
        ({"datasets": {"d": {**FILES, "text": []}}}, "key 'datasets.d.text' is []; list should have at least 1 item"),
        (
            {"datasets": {"d": {**FILES, "text": ["a", 3]}}},
            "key 'datasets.d.text[1]' is 3; input should be text",
        ),
        ({"datasets": {"d": None}}, "key 'datasets.d' is None"),
        ({"datasets": {"d": {**FILES, "hub": "a/b"}}}, "key 'datasets.d': takes either 'train' and 'test' or 'hub'"),
        ({"datasets": {"d": {"train": "a.csv"}}}, "key 'datasets.d': needs both 'train' and 'test'"),
        ({"datasets": {"d": {"hub": "a/b", "train_per_class": 1}}}, "key 'datasets.d.train_per_class' is 1"),
        ({"teachers": {"t": {"learning_rate": "5e-5x"}}}, "key 'teachers.t.learning_rate' is '5e-5x'; input should be"),
        (
            {"systems": ["kim", "bert"]},
            "system 'bert' is unknown; accepted: tfidf-svm, fasttext, encoder-lr, model2vec, setfit, teacher, STUDENT",
        ),
        ({"systems": ["kim+scratch"]}, "system 'kim+scratch' is unknown"),
        ({"systems": ["kim+"]}, "system 'kim+' is unknown"),
        ({"systems": []}, "key 'systems' is []"),
        ({"curve_student": "lstm"}, "curve_student 'lstm' is not one of students: kim, res, blend"),
        ({"counts": [500, 500]}, "counts repeats an entry: 500, 500"),
        ({"counts": [0]}, "key 'counts[0]' is 0"),
        ({"seeds": 0}, "key 'seeds' is 0"),
        ({"seeds": [1, 1]}, "seeds repeats an entry"),
        ({"seeds": "five"}, "key 'seeds' is 'five'"),
        ({"results": "my results"}, "key 'results' is 'my results'"),
        ({"generators": {"g": {"unit": "rows"}}}, "key 'generators.g.unit' is 'rows'; input should be 'windows' or"),
        (
            {"samplings": {"s": {"top_p": 1.5}}},
            "key 'samplings.s.top_p' is 1.5; input should be less than or equal to 1",
        ),
    ],
)
def test_mistakes_name_the_key_the_value_and_what_is_accepted(content, message):
    if "dataset" not in content and content and "datasets" not in content:
        content = {"datasets": {"d": FILES}, **content}
    assert explained(content).startswith(message)


def test_more_mistakes_are_counted():
    assert explained({"datasets": {"d": FILES}, "seeds": 0, "counts": [0]}).endswith("(and 1 more)")


def test_config_files(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text("datasets:\n  d: {train: a.csv, test: b.csv}\nseeds: 2\n")
    assert load_study(file).seed_list == [0, 1]
    for content, message in (
        (b"datasets:\n  d: [1, 2\nseeds: 3\n", r"study\.yaml, line 3, column \d+: not valid YAML"),
        (b"datasets:\n\td: 1\n", r"study\.yaml, line 2, column 1: not valid YAML"),
        (b"- datasets\n", r"study\.yaml: expected a mapping with at least 'datasets', got \['datasets'\]"),
        (b"", r"study\.yaml: expected a mapping with at least 'datasets', got None"),
        (b"a: \xff\n", r"study\.yaml: not UTF-8 at byte 3"),
        (b"!!python/object:os.system {}\n", r"study\.yaml, line 1, column 1: not valid YAML"),
    ):
        file.write_bytes(content)
        with pytest.raises(GendistError, match=message) as caught:
            load_study(file)
        assert "\n" not in str(caught.value)
    with pytest.raises(GendistError, match=r"absent\.yaml: no such config file"):
        load_study(tmp_path / "absent.yaml")


def test_run_config_is_the_study_again(tmp_path):
    first = study(samplings={"hot": {"temperature": 2.0}})
    write_run_config(first.model_dump(mode="json"), tmp_path / "run_config.yaml")
    assert load_study(tmp_path / "run_config.yaml") == first
    assert next(iter(yaml.safe_load((tmp_path / "run_config.yaml").read_text()))) == "datasets"


def test_a_study_cannot_be_changed():
    with pytest.raises(ValidationError):
        study().seeds = 7


def test_plan_of_the_default_systems():
    runs = planned_runs(study(2000, counts=[500, 1000, 25_000], seeds=2))
    assert len(set(runs)) == len(runs)
    kinds = Counter((run.student, run.regime) for run in runs)
    # Two seeds each; nucleus, full and cool sampling at 1,000 rows, and the curve at 500, 1,000 and 2,000.
    assert kinds[("kim", "synthetic")] == 2 * (3 + 2)
    assert kinds[("kim", "gendist")] == 2 * 2  # trained by default and as in the paper
    for student, regime in (
        ("kim", "scratch"),
        ("kim", "dist"),
        ("kim", "hard"),
        ("blend", "dist"),
    ):
        assert kinds[(student, regime)] == 2
    assert ("res", "synthetic") not in kinds and ("res", "hard") not in kinds
    assert RunKey("news", "kim", "scratch", "default", 0, 0) in runs
    assert RunKey("news", "kim", "gendist", "minilm.pocket.nucleus.default", 2000, 1) in runs
    assert RunKey("news", "kim", "synthetic", "minilm.pocket.full.default", 1000, 0) in runs


@pytest.mark.parametrize(
    ("synthetic", "counts", "expected"),
    [
        (2000, [500, 1000, 2000], [500, 1000, 2000]),
        (1500, [500, 1000, 2500], [500, 1000, 1500]),
        (300, [500, 1000], [300]),
        (700, [], [700]),
        (1000, [1000, 500], [500, 1000]),
    ],
)
def test_counts_of_the_curve(synthetic, counts, expected):
    planned = study(synthetic, counts=counts, seeds=1, samplings={"full": {}})
    assert planned.curve_counts("news") == expected
    assert [run.n_synthetic for run in planned_runs(planned) if run.regime == "synthetic"] == expected
    assert sampling_count(planned, "news") == min(1000, synthetic)


def test_a_wider_study_only_adds_runs():
    small = study(1000, counts=[500], seeds=2)
    for wider in (
        study(1000, counts=[250, 500], seeds=2),
        study(1000, counts=[500], seeds=3),
        study(1000, counts=[500], seeds=2, systems=[*PAPER_SYSTEMS, *GENERAL_SYSTEMS, "blend+gendist"]),
        study(1000, counts=[500], seeds=2, teachers={"minilm": {"model": "minilm"}, "other": {}}),
        study(1000, counts=[500], seeds=2, trainings={"default": {}, "paper": {}, "long": {"epochs": 20}}),
    ):
        assert set(planned_runs(small)) < set(planned_runs(wider))


def test_a_student_and_a_sampling_by_config_alone():
    planned = planned_runs(
        study(
            students={"kim": {}, "narrow": {"filters": 7}},
            samplings={"full": {}, "hot": {"temperature": 1.5}},
            systems=["kim", "narrow", "narrow+gendist"],
            seeds=1,
        )
    )
    assert RunKey("news", "narrow", "gendist", "minilm.pocket.full.default", 2000, 0) in planned
    assert RunKey("news", "kim", "synthetic", "minilm.pocket.hot.default", 1000, 0) in planned


def test_an_architecture_by_registration_alone():
    @register("sum")
    class Sum(torch.nn.Module):
        def __init__(self, vectors, settings, classes):
            super().__init__()
            self.embedding = torch.nn.Embedding.from_pretrained(vectors.clone(), freeze=False)
            self.classifier = torch.nn.Linear(vectors.shape[1], classes)

        def forward(self, ids, mask):
            return self.classifier((self.embedding(ids) * mask[..., None]).sum(1))

    try:
        planned = study(students={"kim": {}, "sum": {"architecture": "sum"}}, systems=["sum+dist"])
        assert any(run.student == "sum" and run.regime == "dist" for run in planned_runs(planned))
        network = build(torch.randn(9, 4), planned.students["sum"], 3)
        loss = network(torch.tensor([[1, 2], [3, 0]]), torch.tensor([[1.0, 1], [1, 0]])).square().mean()
        loss.backward()
        assert network.embedding.weight.grad[3].any() and not network.embedding.weight.grad[5].any()
    finally:
        del ARCHITECTURES["sum"]
    with pytest.raises(GendistError, match="architecture 'sum' is unknown; accepted: bag, bilstm, blend, kim, res"):
        build(torch.randn(9, 4), Student(architecture="sum"), 3)


NAMES = {"teacher": "t", "generator": "g", "sampling": "s", "training": "tr"}


def test_systems_variants_and_run_folders_parse_to_what_built_them():
    for regime in REGIMES:
        name = system_name("kim", regime)
        assert parse_system(name, ["kim"]) == (name, "kim", regime)
        parsed = parse_variant(variant_name(regime, **NAMES))
        assert parsed.training == "tr" and {parsed.teacher, parsed.generator, parsed.sampling} <= {"t", "g", "s", None}
    assert variant_name("scratch", **NAMES) == "tr"
    assert variant_name("dist", **NAMES) == "t.tr"
    assert variant_name("hard", **NAMES) == "t.g.s.tr"
    with pytest.raises(ValueError, match=r"variant 't\.g\.tr' is unknown; accepted: TRAINING, TEACHER\.TRAINING, "):
        parse_variant("t.g.tr")
    key = RunKey("news", "kim", "hard", "t.g.s.tr", 2000, 3)
    assert key.folder.as_posix() == "news/students/kim/hard/t.g.s.tr/n2000/seed3"
    assert key.system == "kim+hard" and key.names == ("t", "g", "s", "tr")
    assert RunKey.from_folder("results" / key.folder) == key
    for wrong in ("news/students/kim/hard/t.g.s.tr/n2000", "news/baselines/fasttext/seed3"):
        with pytest.raises(ValueError, match=f"^{wrong}: not the folder of a run "):
            RunKey.from_folder(PurePath(wrong))


@pytest.mark.parametrize("results", ["a/b", "a//b", "a/b/", "a///b//"])
def test_repeated_slashes_in_paths_are_one(results: str):
    study = study_from({"results": results, "datasets": {"d": {"train": "x//y.csv", "test": "z.csv"}}})
    assert study.results == "a/b" and study.datasets["d"].train == "x/y.csv"
