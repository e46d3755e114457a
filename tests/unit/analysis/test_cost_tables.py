"""Costs are collected and shown."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from report_fixtures import MAIN, read_csv, run, write_metrics

from gendist.analysis.costs.collect_costs import collect_costs
from gendist.analysis.costs.load_export import load_export
from gendist.analysis.figure_style import make_panels, style_context
from gendist.analysis.report.costs_table import EXPORTED_RUNTIME, SCHEMA, is_exported_model, three_digits, write_costs
from gendist.analysis.report.point_labels import label_points
from gendist.analysis.report.tradeoff_figure import COST_AXES, draw_tradeoff, tradeoff_plot
from gendist.errors import GendistError
from gendist.io.parquet import write_parquet
from gendist.io.provenance import Provenance
from gendist.naming import parse_system
from gendist.predict.classifier import TextClassifier
from gendist.stages.texts.text_tables import read_texts


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
