import json
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from report_fixtures import MAIN, read_csv, run, write_metrics

from gendist.analysis.costs import measure_costs as measure_module
from gendist.analysis.costs.collect_costs import collect_costs
from gendist.analysis.costs.load_baseline import load_baseline
from gendist.analysis.costs.load_export import load_export
from gendist.analysis.costs.load_student import load_student
from gendist.analysis.costs.load_teacher import load_teacher
from gendist.analysis.costs.measure_costs import measure_costs
from gendist.analysis.figure_style import make_panels, style_context
from gendist.analysis.report.costs_table import EXPORTED_RUNTIME, SCHEMA, is_exported_model, three_digits, write_costs
from gendist.analysis.report.point_labels import label_points
from gendist.analysis.report.tradeoff_figure import COST_AXES, draw_tradeoff, tradeoff_plot
from gendist.config import study_from
from gendist.config.student_settings import Student, Training
from gendist.config.study_plan import planned_runs, timed_runs
from gendist.errors import GendistError
from gendist.io.parquet import write_parquet
from gendist.io.provenance import Provenance
from gendist.naming import RunKey, parse_system
from gendist.nn.pretrained import load_classifier, load_tokenizer
from gendist.predict.classifier import TextClassifier
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


# --- collecting and showing ---


def measurement(folder: Path, kind: str, name: str, size: int, runtime: str = "torch") -> Path:
    record = {
        "dataset": "toy",
        "kind": kind,
        "name": name,
        "size_bytes": size,
        "latency_p50_ms": size / 1e6,
        "latency_p95_ms": size / 5e5,
        "rows_per_second": 1e9 / size,
        "texts": 30,
        "runtime": runtime,
        "device": "=a CPU",
        "threads": 1,
    }
    path = folder / f"{kind}-{name}-{runtime}.json"
    path.write_text(json.dumps(record))
    return path


SYSTEMS = [parse_system(name, ["kim", "res"]) for name in ("fasttext", "teacher", "kim", "kim+gendist", "res+dist")]


@pytest.fixture
def collected(tmp_path):
    runs = [run("toy", "fasttext", 0.4), run("toy", "teacher", 0.9)]
    runs += [{**run("toy", "kim", 0.5 + seed / 50, seed), "train_seconds": 1.0 + seed} for seed in range(3)]
    runs += [run("toy", "kim+gendist", 0.7 + seed / 50, seed, count=8) for seed in range(3)]
    runs += [run("toy", "kim+gendist", 0.1, 0, count=4)]  # another count than Table 1 shows
    metrics = write_metrics(tmp_path / "metrics.parquet", runs)
    files = [
        measurement(tmp_path, "students", "kim", 5_000_000),
        measurement(tmp_path, "students", "kim", 1_300_000, "onnxruntime int8"),
        measurement(tmp_path, "teachers", "minilm", 91_000_000),
        measurement(tmp_path, "teachers", "other", 1),
        measurement(tmp_path, "baselines", "fasttext", 2_900_000),
    ]
    collect_costs(
        files, metrics=metrics, systems=SYSTEMS, counts={"toy": 8}, main=MAIN, target=tmp_path / "costs.parquet"
    )
    return tmp_path


def test_costs_come_in_the_order_of_table_1_and_share_a_network_s_measurement(collected):
    table = pq.read_table(collected / "costs.parquet")
    assert table.column_names == SCHEMA.names
    rows = table.to_pylist()
    assert [(row["system"], row["runtime"], row["size_bytes"]) for row in rows] == [
        ("fasttext", "torch", 2_900_000),
        ("teacher", "torch", 91_000_000),
        ("kim", "torch", 5_000_000),
        ("kim", "onnxruntime int8", 1_300_000),
        ("kim+gendist", "torch", 5_000_000),
        ("kim+gendist", "onnxruntime int8", 1_300_000),
    ]
    assert [row["train_seconds"] for row in rows] == [1.0, 1.0, 2.0, 2.0, 1.0, 1.0]


def test_the_table_for_people_is_readable_and_no_formula(collected):
    write_costs(collected / "costs.parquet", collected / "costs.csv", collected / "costs.md")
    rows = read_csv(collected / "costs.csv")
    assert [row["system"] for row in rows][:3] == ["fasttext", "teacher", "kim"]
    assert rows[0]["device"] == "'=a CPU"
    shown = (collected / "costs.md").read_text()
    assert "| 2.90 |" in shown.replace("  ", "") or " 2.90 |" in shown
    assert "30 test texts" in shown and "one thread (=a CPU)" in shown


def test_numbers_have_three_digits():
    assert [three_digits(x) for x in (0.01234, 0.5, 4.5678, 12.345, 123.4, 12345.6)] == [
        "0.012",
        "0.500",
        "4.57",
        "12.3",
        "123",
        "12,346",
    ]


def test_the_figure_shows_accuracies_at_the_count_of_table_1(collected):
    outs = [collected / f"tradeoff.{kind}" for kind in ("svg", "png", "csv")]
    draw_tradeoff(
        collected / "metrics.parquet",
        collected / "costs.parquet",
        counts={"toy": 8},
        main=MAIN,
        out_svg=outs[0],
        out_png=outs[1],
        out_csv=outs[2],
    )
    rows = {(row["system"], row["runtime"]): row for row in read_csv(outs[2])}
    assert float(rows["kim+gendist", "torch"]["accuracy"]) == pytest.approx(72)
    assert float(rows["kim", "torch"]["sd"]) == pytest.approx(2)
    assert rows["teacher", "torch"]["sd"] == "" and len(rows) == 6
    first = [out.read_bytes() for out in outs]
    draw_tradeoff(
        collected / "metrics.parquet",
        collected / "costs.parquet",
        counts={"toy": 8},
        main=MAIN,
        out_svg=outs[0],
        out_png=outs[1],
        out_csv=outs[2],
    )
    assert [out.read_bytes() for out in outs] == first
    assert b"<svg" in first[0] and first[1].startswith(b"\x89PNG")


def test_names_lie_over_nothing():
    random = np.random.default_rng(0)
    points = [
        (float(x), float(y)) for x, y in zip(10 ** random.normal(0, 0.2, 16), random.normal(60, 2, 16), strict=True)
    ]
    with style_context():
        figure, (panel,) = make_panels(1, height=4.6)
        panel.set_xscale("log")
        panel.set_xlim(0.05, 20)
        panel.set_ylim(40, 80)
        panel.plot([x for x, _ in points], [y for _, y in points], "o", markersize=6)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        label_points(figure, panel, points=points, spreads=[1.0] * 16, names=[f"system-{i}" for i in range(16)])
        renderer = figure.canvas.get_renderer()
        boxes = [text.get_window_extent(renderer) for text in panel.texts]
        inside = panel.get_window_extent(renderer)
    assert len(boxes) == 16
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(inside.contains(*box.p0) and inside.contains(*box.p1) for box in boxes)
    pixels = panel.transData.transform(points)
    assert not any(box.contains(x, y) for box in boxes for x, y in pixels)


DEFAULT = {
    "tfidf-svm": (0.6e6, 0.3, 43.7, None),
    "fasttext": (2.9e6, 0.04, 40.3, 0.2),
    "teacher": (91e6, 9.6, 82.4, None),
    "blend": (6.7e6, 2.3, 62.5, 1.4),
    "blend+dist": (6.7e6, 2.3, 59.8, 1.5),
    "kim": (5.2e6, 1.2, 66.3, 0.7),
    "res": (5.1e6, 0.9, 68.4, 1.6),
    "kim+dist": (5.2e6, 1.2, 66.4, 0.6),
    "res+dist": (5.1e6, 0.9, 69.1, 1.5),
    "kim+gendist": (5.2e6, 1.2, 69.5, 0.7),
    "res+gendist": (5.1e6, 0.9, 69.6, 0.8),
}
"""Size, latency, accuracy and deviation as the default study had them."""


@pytest.mark.parametrize("column", ["size_bytes", "latency_p50_ms"])
def test_the_names_of_the_default_study_do_not_collide(column):
    rows = [
        {"system": name, "runtime": "torch", "size_bytes": v[0], "latency_p50_ms": v[1], "accuracy": v[2], "sd": v[3]}
        for name, v in DEFAULT.items()
    ]
    deployed = {"runtime": f"{EXPORTED_RUNTIME} (tables, int8)", "size_bytes": 1.9e6, "latency_p50_ms": 0.05}
    rows.append({**rows[9], **deployed})
    with style_context(themed=True):
        figure = tradeoff_plot(rows, column)
        (panel,) = figure.axes
        renderer = figure.canvas.get_renderer()
        boxes = {text.get_text(): text.get_window_extent(renderer) for text in panel.texts}
        pixels = panel.transData.transform([(row[column] / COST_AXES[column][0], row["accuracy"]) for row in rows])
    assert set(boxes) == {*DEFAULT, "kim+gendist, deployed"}
    names = list(boxes)
    assert not [(a, b) for i, a in enumerate(names) for b in names[:i] if boxes[a].overlaps(boxes[b])]
    assert not [name for name, box in boxes.items() for x, y in pixels if box.contains(x, y)]


def test_the_exported_model_is_measured_as_it_is_used(exported, test_texts):
    predictor = load_export(exported)
    texts = read_texts(test_texts)
    found = TextClassifier.load(exported).predict(texts.texts)
    assert [texts.label_names[label] for label in predictor.predict(texts.texts)] == found.tolist()
    kim = (exported / "look-up.safetensors").is_file()
    assert predictor.runtime == f"exported ({'tables' if kim else 'ONNX Runtime'}, int8)"
    shipped = {"look-up.safetensors" if kim else "model.int8.onnx", "tokenizer.json", "gendist-model.json"}
    assert {file.name for file in predictor.files} == shipped


def test_the_exported_model_has_a_row_beside_its_system_alone(collected):
    files = [
        measurement(collected, "students", "kim", 5_000_000),
        measurement(collected, "export", "kim+gendist", 1_900_000, f"{EXPORTED_RUNTIME} (tables, int8)"),
    ]
    collect_costs(
        files,
        metrics=collected / "metrics.parquet",
        systems=SYSTEMS,
        counts={"toy": 8},
        main=MAIN,
        target=collected / "costs.parquet",
    )
    rows = pq.read_table(collected / "costs.parquet").to_pylist()
    assert [(row["system"], row["size_bytes"], is_exported_model(row)) for row in rows] == [
        ("kim", 5_000_000, False),
        ("kim+gendist", 5_000_000, False),
        ("kim+gendist", 1_900_000, True),
    ]


def test_nothing_to_show_is_said_in_one_line(collected):
    with pytest.raises(GendistError, match="no measurement of fasttext"):
        collect_costs(
            [],
            metrics=collected / "metrics.parquet",
            systems=SYSTEMS[:1],
            counts={"toy": 8},
            main=MAIN,
            target=collected / "none.parquet",
        )
    outs = [collected / f"none.{kind}" for kind in ("svg", "png", "csv")]
    with pytest.raises(GendistError, match=r"costs\.parquet: no system has a run"):
        draw_tradeoff(
            collected / "metrics.parquet",
            collected / "costs.parquet",
            counts={"elsewhere": 8},
            main=MAIN,
            out_svg=outs[0],
            out_png=outs[1],
            out_csv=outs[2],
        )
    empty = pq.read_table(collected / "costs.parquet").slice(0, 0)
    write_parquet(collected / "empty.parquet", empty, Provenance("costs"))
    with pytest.raises(GendistError, match=r"empty\.parquet: no costs"):
        write_costs(collected / "empty.parquet", collected / "a.csv", collected / "a.md")


def test_a_damaged_measurement_is_named(collected):
    path = measurement(collected, "baselines", "fasttext", 1, "broken")
    path.write_text(json.dumps({"dataset": "toy", "kind": "baselines", "name": "fasttext"}))
    with pytest.raises(GendistError, match="damaged"):
        collect_costs(
            [path],
            metrics=collected / "metrics.parquet",
            systems=SYSTEMS[:1],
            counts={"toy": 8},
            main=MAIN,
            target=collected / "x.parquet",
        )
