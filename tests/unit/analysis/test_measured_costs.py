"""Finished systems are loaded as they ran, and measured."""

import json
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from gendist.analysis.costs import measure_costs as measure_module
from gendist.analysis.costs.load_baseline import load_baseline
from gendist.analysis.costs.load_student import load_student
from gendist.analysis.costs.load_teacher import load_teacher
from gendist.analysis.costs.measure_costs import measure_costs
from gendist.config import study_from
from gendist.config.student_settings import Student, Training
from gendist.config.study_plan import planned_runs, timed_runs
from gendist.errors import GendistError
from gendist.naming import RunKey
from gendist.nn.pretrained import load_classifier, load_tokenizer
from gendist.stages.baselines.fasttext import fit_fasttext, load_fasttext
from gendist.stages.baselines.tfidf_svm import fit_tfidf_svm, load_tfidf_svm
from gendist.stages.evaluation.predictor import Predictor
from gendist.stages.logits.batched_logits import predict_logits
from gendist.stages.students.distil_student import distil_seeds, student_metadata
from gendist.stages.texts.text_tables import read_texts


def predicted(folder: Path) -> list[int]:
    return pq.read_table(folder / "predictions.parquet")["predicted"].to_pylist()


# --- finished systems, loaded ---


@pytest.mark.parametrize("architecture", ["kim", "bilstm", "bag"])
def test_a_loaded_student_predicts_what_its_run_predicted(architecture, train_texts, test_texts, subwords, tmp_path):
    row = student_metadata(RunKey("toy", architecture, "scratch", "default", 0, 0))
    student = Student(architecture=architecture, filters=8)
    distil_seeds(
        {0: tmp_path},
        row,
        train=train_texts,
        test=test_texts,
        embeddings=subwords,
        student=student,
        training=Training(epochs=1, min_steps=20),
    )
    loaded = load_student(tmp_path, subwords)
    texts = read_texts(test_texts).texts
    assert loaded.predict(texts).tolist() == predicted(tmp_path)
    assert [int(loaded.predict([text])[0]) for text in texts] == predicted(tmp_path)
    # The vectors are in the model: shipped once.
    assert {f.name for f in loaded.files} == {"model.safetensors", "student.json", "tokenizer.json"}


def test_loaded_baselines_predict_what_their_runs_predicted(train_texts, test_texts, tmp_path):
    fit_tfidf_svm(train_texts, test_texts, tmp_path / "svm", "toy")
    fit_fasttext(train_texts, test_texts, tmp_path / "fasttext", "toy", seed=2)
    texts = read_texts(test_texts).texts
    for name, folder in (("tfidf-svm", "svm"), ("fasttext", "fasttext")):
        loaded = load_baseline(name, tmp_path / folder, test_texts)
        assert loaded.predict(texts).tolist() == predicted(tmp_path / folder)
        assert all(file.is_file() for file in loaded.files)


def test_models_of_baselines_are_the_same_each_time(train_texts, test_texts, tmp_path):
    for name in ("one", "two"):
        fit_tfidf_svm(train_texts, test_texts, tmp_path / name, "toy")
        fit_fasttext(train_texts, test_texts, tmp_path / name, "toy", seed=2)
    for name in ("svm.safetensors", "vocabulary.json", "model.bin"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_damaged_baselines_are_named(tmp_path):
    (tmp_path / "vocabulary.json").write_text("{}")
    (tmp_path / "svm.safetensors").write_bytes(b"nothing")
    with pytest.raises(GendistError, match=r"svm\.safetensors: damaged"):
        load_tfidf_svm(tmp_path)
    (tmp_path / "model.bin").write_bytes(b"nothing")
    with pytest.raises(GendistError, match=r"model\.bin: missing or damaged"):
        load_fasttext(tmp_path, 3)


def test_a_loaded_teacher_predicts_as_it_scores(encoder, test_texts, tmp_path):
    classifier = load_classifier(str(encoder), ["a", "b", "c"], pooling="mean")
    classifier.classifier.weight.data.normal_()
    classifier.save_pretrained(tmp_path)
    load_tokenizer(str(encoder)).save_pretrained(tmp_path)
    (tmp_path / "history.json").write_text("{}")
    texts = read_texts(test_texts).texts
    loaded = load_teacher(tmp_path, 16)
    expected = predict_logits(classifier, load_tokenizer(str(encoder)), texts, 16).argmax(1)
    assert loaded.predict(texts).tolist() == expected.tolist()
    names = {file.name for file in loaded.files}
    assert "classifier.safetensors" in names and "history.json" not in names


# --- measuring ---


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_size_latency_and_rate_are_what_they_say(test_texts, tmp_path, monkeypatch):
    monkeypatch.setattr(measure_module, "MEASURE_SECONDS", 0.1)
    (tmp_path / "a").write_bytes(b"x" * 300)
    (tmp_path / "b").write_bytes(b"x" * 45)
    sizes: list[int] = []

    def predict(texts):
        sizes.append(len(texts))
        burn(0.004 if len(texts) == 1 else 0.03)
        time.sleep(0.001)  # waiting is no work
        return np.zeros(len(texts), int)

    measure_costs(
        Predictor(predict, [tmp_path / "a", tmp_path / "b"], "toy"),
        test_texts,
        target=tmp_path / "c",
        dataset="d",
        kind="k",
        name="n",
    )
    record = json.loads((tmp_path / "c").read_text())
    assert record["size_bytes"] == 345 and record["texts"] == 30 and record["threads"] == 1
    assert (record["dataset"], record["kind"], record["name"], record["runtime"]) == ("d", "k", "n", "toy")
    assert 4.0 <= record["latency_p50_ms"] <= record["latency_p95_ms"] < 8.0
    assert 500 < record["rows_per_second"] <= 1000.5  # 30 rows in 30 ms
    assert set(sizes) == {1, 30} and record["device"]


def test_one_slow_round_does_not_show(test_texts, tmp_path, monkeypatch):
    monkeypatch.setattr(measure_module, "MEASURE_SECONDS", 0.2)
    calls = []

    def predict(texts):
        calls.append(1)
        burn(
            0.02 if measure_module.WARM_UP_TEXTS < len(calls) <= measure_module.WARM_UP_TEXTS + 5 else 0.001
        )  # five texts of the first round
        return np.zeros(len(texts), int)

    measure_costs(Predictor(predict, [], "toy"), test_texts, target=tmp_path / "c", dataset="d", kind="k", name="n")
    assert json.loads((tmp_path / "c").read_text())["latency_p95_ms"] < 10


def test_one_run_is_measured_for_each_network():
    base = {"datasets": {"a": {"train": "a.csv", "test": "b.csv", "synthetic": 7}}, "seeds": [4, 5]}
    study = study_from({**base, "systems": ["teacher", "res+gendist", "kim+dist", "res", "bag"]})
    runs = timed_runs(study, "a")
    assert {student: run.regime for student, run in runs.items()} == {
        "res": "gendist",
        "kim": "dist",
        "bag": "scratch",
    }
    assert {run.seed for run in runs.values()} == {4} and runs["res"].n_synthetic == 7
    assert set(runs.values()) <= set(planned_runs(study))
