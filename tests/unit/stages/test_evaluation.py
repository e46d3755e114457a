import json
import math
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import f1_score
from tiny_stages import write_texts

from gendist.errors import GendistError
from gendist.io.parquet import read_metadata, write_parquet
from gendist.io.provenance import Provenance
from gendist.stages.evaluation.collect_metrics import SCHEMA, collect_metrics
from gendist.stages.evaluation.evaluate_teacher import evaluate_logits
from gendist.stages.evaluation.metrics import classification_metrics, ece, macro_f1
from gendist.stages.evaluation.run_folder import RunMetadata, write_run

LABELS = np.array([0, 0, 1, 1])
# Probabilities (0.8, 0.2), (0.4, 0.6), (0.1, 0.9), (0.4, 0.6): the second row is wrong.
LOGITS = np.log(np.array([[0.8, 0.2], [0.4, 0.6], [0.1, 0.9], [0.4, 0.6]]))


texts_file = partial(write_texts, names=["a", "b"])


def logits_file(path, keys, logits, key="id"):
    kind = pa.list_(pa.float32())
    table = pa.table({key: pa.array(keys, pa.int64()), "logits": pa.array(list(map(list, logits)), kind)})
    write_parquet(path, table, Provenance("logits"))
    return path


def run(folder, row=None, logits=LOGITS, seconds=1.5):
    row = row or RunMetadata("news", "kim", 40, student="kim", regime="scratch", seed=0)
    predicted = LABELS if logits is None else np.argmax(logits, axis=1)
    return write_run(
        folder,
        row,
        ids=np.arange(4),
        labels=LABELS,
        predicted=predicted,
        logits=logits,
        provenance=Provenance("students"),
        train_seconds=seconds,
    )


def test_metrics_by_hand():
    scores = classification_metrics(LABELS, np.array([0, 1, 1, 1]), LOGITS)
    assert scores["accuracy"] == 0.75
    # Class 0: precision 1, recall 1/2; class 1: precision 2/3, recall 1.
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert scores["nll"] == pytest.approx(-(math.log(0.8) + math.log(0.4) + math.log(0.9) + math.log(0.6)) / 4)
    # Two rows at 0.6, one right: gap 0.1 on half of the rows; 0.8 and 0.9 stand alone.
    assert scores["ece"] == pytest.approx((0.1 * 2 + 0.2 + 0.1) / 4)


def test_metrics_ignore_a_shift_of_the_logits_and_survive_large_ones():
    shifted = classification_metrics(LABELS, LABELS, LOGITS + 1000)
    assert shifted["nll"] == pytest.approx(classification_metrics(LABELS, LABELS, LOGITS)["nll"])
    sure = classification_metrics(LABELS, LABELS, np.array([[1e4, 0], [1e4, 0], [0, 1e4], [0, 1e4]]))
    assert sure["nll"] == 0 and sure["ece"] == 0


def test_ece_bins_are_closed_above():
    # Probability 0.5 with two bins belongs to the first: alone there, and right.
    logits = np.log(np.array([[0.5, 0.5], [0.25, 0.75]]))
    assert ece(np.array([0, 0]), logits, bins=2) == pytest.approx((0.5 + 0.75) / 2)


def test_metrics_without_logits_and_with_bad_shapes():
    scores = classification_metrics(LABELS, LABELS, None)
    assert scores == {"accuracy": 1.0, "macro_f1": 1.0, "nll": None, "ece": None}
    with pytest.raises(ValueError, match="same number of rows"):
        classification_metrics(LABELS, LABELS[:3], None)
    with pytest.raises(ValueError, match="same number of rows"):
        classification_metrics(LABELS[:0], LABELS[:0], None)
    with pytest.raises(ValueError, match="do not match 4 rows"):
        classification_metrics(LABELS, LABELS, LOGITS[:2])
    with pytest.raises(ValueError, match="finite"):
        classification_metrics(LABELS, LABELS, np.full((4, 2), np.nan))


def test_run_folder(tmp_path):
    record = run(tmp_path / "run")
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == [
        "metrics.json",
        "predictions.parquet",
        "timing.json",
    ]
    text = (tmp_path / "run/metrics.json").read_text()
    stored = json.loads(text)
    assert stored == record and list(stored) == sorted(stored) and "train_seconds" not in stored
    assert stored["accuracy"] == 0.75 and stored["generator"] is None and stored["n_synthetic"] == 0
    assert json.loads((tmp_path / "run/timing.json").read_text()) == {"train_seconds": 1.5}
    table = pq.read_table(tmp_path / "run/predictions.parquet")
    assert table.schema.field("logits").type == pa.list_(pa.float32())
    assert table.schema.field("predicted").type == pa.int32()
    assert table["predicted"].to_pylist() == [0, 1, 1, 1]
    assert read_metadata(tmp_path / "run/predictions.parquet")["gendist"]["stage"] == "students"
    run(tmp_path / "again", seconds=99.0)
    for name in ("metrics.json", "predictions.parquet"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


def test_run_without_logits_has_null_lists(tmp_path):
    run(tmp_path, logits=None)
    table = pq.read_table(tmp_path / "predictions.parquet")
    assert table.schema.field("logits").type == pa.list_(pa.float32())
    assert table["logits"].null_count == 4


def test_collect_is_tidy_and_independent_of_order(tmp_path):
    rows = [
        RunMetadata("news", "tfidf-svm", 40, n_parameters=7),
        RunMetadata("news", "kim", 40, student="kim", regime="scratch", seed=10, variant="m.p.full.default"),
        RunMetadata("news", "kim", 40, student="kim", regime="scratch", seed=2, variant="m.p.full.default"),
    ]
    folders = [tmp_path / f"run{i}" for i in range(3)]
    for folder, row in zip(folders, rows, strict=True):
        run(folder, row, logits=None if row.system == "tfidf-svm" else LOGITS)
    collect_metrics(folders, tmp_path / "metrics.parquet")
    collect_metrics(folders[::-1], tmp_path / "reversed.parquet")
    assert (tmp_path / "metrics.parquet").read_bytes() == (tmp_path / "reversed.parquet").read_bytes()
    table = pq.read_table(tmp_path / "metrics.parquet")
    assert table.schema.equals(SCHEMA)
    assert table["seed"].to_pylist() == [2, 10, None]
    assert table["train_seconds"].to_pylist() == [1.5] * 3
    assert table["nll"].to_pylist()[2] is None and table["student"].to_pylist()[2] is None
    provenance = read_metadata(tmp_path / "metrics.parquet")["gendist"]
    assert len(provenance["inputs"]) == 3 and str(tmp_path) not in json.dumps(provenance)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metrics.json", None, "no such file"),
        ("timing.json", None, "no such file"),
        ("metrics.json", '{"accuracy": 0.', "damaged"),
        ("metrics.json", "[]", "not a JSON object"),
        ("metrics.json", '{"accuracy": 0.5}', "lacks dataset"),
        ("timing.json", "{}", "'train_seconds' is empty"),
        ("timing.json", '{"train_seconds": "fast"}', "wrong type"),
    ],
)
def test_collect_names_the_bad_file(tmp_path, name, content, message):
    run(tmp_path / "run")
    if content is None:
        (tmp_path / "run" / name).unlink()
    else:
        (tmp_path / "run" / name).write_text(content)
    with pytest.raises(GendistError, match=message) as caught:
        collect_metrics([tmp_path / "run"], tmp_path / "metrics.parquet")
    assert str(tmp_path / "run") in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "metrics.parquet").exists()


def test_collect_refuses_twins_and_nothing(tmp_path):
    run(tmp_path / "one")
    run(tmp_path / "two")
    with pytest.raises(GendistError, match="another folder"):
        collect_metrics([tmp_path / "one", tmp_path / "two"], tmp_path / "metrics.parquet")
    with pytest.raises(GendistError, match="no run folders"):
        collect_metrics([], tmp_path / "metrics.parquet")


def test_evaluate_logits_joins_on_id(tmp_path):
    texts = texts_file(tmp_path / "test.parquet", ["w", "x", "y", "z"], LABELS)
    shuffled = [2, 0, 3, 1]
    logits = logits_file(tmp_path / "logits.parquet", [10 + i for i in shuffled], LOGITS[shuffled])
    row = RunMetadata("news", "teacher", 40, teacher="minilm", seed=0)
    record = evaluate_logits(texts, logits, tmp_path / "run", row=row, train_seconds=12.0)
    assert record["accuracy"] == 0.75
    table = pq.read_table(tmp_path / "run/predictions.parquet")
    assert table["id"].to_pylist() == [10, 11, 12, 13] and table["predicted"].to_pylist() == [0, 1, 1, 1]
    assert set(read_metadata(tmp_path / "run/predictions.parquet")["gendist"]["inputs"]) == {"texts", "logits"}


def test_evaluate_logits_refuses_what_does_not_fit(tmp_path):
    texts = texts_file(tmp_path / "test.parquet", ["w", "x", "y", "z"], LABELS)
    row = RunMetadata("news", "teacher", 40)
    few = logits_file(tmp_path / "few.parquet", [10, 11], LOGITS[:2])
    with pytest.raises(GendistError, match=r"few\.parquet: ids differ"):
        evaluate_logits(texts, few, tmp_path / "run", row=row, train_seconds=0.0)
    wide = logits_file(tmp_path / "wide.parquet", [10, 11, 12, 13], np.ones((4, 3)))
    with pytest.raises(GendistError, match="3 classes"):
        evaluate_logits(texts, wide, tmp_path / "run", row=row, train_seconds=0.0)


@pytest.mark.parametrize("seed", range(5))
def test_macro_f1_is_scikit_learn_s(seed):
    rng = np.random.default_rng(seed)
    labels, predicted = rng.integers(0, 2 + seed, 40), rng.integers(0, 4, 40)
    expected = f1_score(labels, predicted, average="macro", zero_division=0.0)
    assert macro_f1(labels, predicted) == pytest.approx(expected)
