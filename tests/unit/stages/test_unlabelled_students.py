"""Students learn from unlabelled rows, which the teacher scores."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from toy_texts import sentences

from gendist.config.student_settings import Student, Training
from gendist.errors import GendistError
from gendist.io.parquet import read_metadata, write_parquet
from gendist.io.provenance import Provenance
from gendist.naming import RunKey
from gendist.stages.evaluation.collect_metrics import OPTIONAL_SCHEMA, SCHEMA, collect_metrics
from gendist.stages.students.distil_student import distil_seeds, student_metadata
from gendist.stages.students.training_rows import SyntheticFiles, UnlabelledFiles, assemble_training_rows
from gendist.stages.texts.text_tables import read_texts

# --- students ---


CLASSES = 3


@pytest.fixture(scope="module")
def files(train_texts: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Logits of the real rows, nine unlabelled rows with theirs, and a shard of six rows with theirs."""
    folder = tmp_path_factory.mktemp("further")

    def scores(path: Path, key: str, keys: Any, labels: Any) -> Path:
        logits = [[4.0 if c == label else -1.0 for c in range(CLASSES)] for label in labels]
        table = pa.table({key: pa.array(keys, pa.int64()), "logits": pa.array(logits, pa.list_(pa.float32()))})
        write_parquet(path, table, Provenance("logits"))
        return path

    real = read_texts(train_texts)
    more, labels = sentences(9, 11)
    ids = [30, 2, 17, 4, 5, 60, 7, 8, 1]
    write_parquet(folder / "texts.parquet", pa.table({"id": ids, "text": more}), Provenance("texts"))
    made, made_labels = sentences(6, 12)
    shard = pa.table({"row": range(6), "text": made, "finish": ["given"] * 6})
    write_parquet(folder / "shard.parquet", shard, Provenance("synthetic"))
    return {
        "real": scores(folder / "real.parquet", "id", real.ids, real.labels),
        "unlabelled": UnlabelledFiles(folder / "texts.parquet", scores(folder / "more.parquet", "id", ids, labels)),
        "synthetic": SyntheticFiles(
            [folder / "shard.parquet"], [scores(folder / "made.parquet", "row", range(6), made_labels)], 6
        ),
        "labels": labels,
    }


def test_regimes_learn_from_labelled_then_unlabelled_then_synthetic_rows(train_texts: Path, files: dict[str, Any]):
    real, further = read_texts(train_texts), files["unlabelled"]
    few = UnlabelledFiles(further.texts, further.logits, 4)
    rows = assemble_training_rows("unlabelled", real, real_logits=files["real"], synthetic=None, unlabelled=few)
    assert rows.texts == real.texts + sentences(9, 11)[0][:4] and rows.n_real == 36
    assert rows.logits is not None and rows.logits.argmax(1).tolist() == [*real.labels, *files["labels"][:4]]
    both = assemble_training_rows(
        "gendist-unlabelled", real, real_logits=files["real"], synthetic=files["synthetic"], unlabelled=further
    )
    assert both.texts == real.texts + sentences(9, 11)[0] + sentences(6, 12)[0]
    assert both.logits is not None and torch.equal(both.logits[:40], rows.logits) and len(both.logits) == 36 + 9 + 6


def test_unlabelled_rows_that_do_not_fit_are_named(train_texts: Path, files: dict[str, Any]):
    real, further = read_texts(train_texts), files["unlabelled"]
    for unlabelled, message in (
        (None, "regime 'unlabelled' needs unlabelled rows and their logits"),
        (UnlabelledFiles(further.texts, files["real"]), r"real\.parquet: ids differ from those of .*texts\.parquet"),
        (UnlabelledFiles(further.texts, further.logits, 10), r"texts\.parquet: 9 rows, but 10 are requested"),
    ):
        with pytest.raises(GendistError, match=message):
            assemble_training_rows("unlabelled", real, real_logits=files["real"], synthetic=None, unlabelled=unlabelled)


@pytest.mark.parametrize(
    ("regime", "variant", "count", "expected"),
    [
        ("unlabelled", "t.default", 5, {"real": 36, "synthetic": 0, "unlabelled": 5}),
        ("gendist-unlabelled", "t.g.full.default", 6, {"real": 36, "synthetic": 6, "unlabelled": 9}),
        ("dist", "t.default", 0, {"real": 36, "synthetic": 0}),
    ],
)
def test_a_run_counts_its_rows(
    train_texts: Path,
    test_texts: Path,
    subwords: Path,
    files: dict[str, Any],
    tmp_path: Path,
    regime: str,
    variant: str,
    count: int,
    expected: dict[str, int],
):
    row = student_metadata(RunKey("toy", "kim", regime, variant, count, 0))
    further = files["unlabelled"]
    unlabelled = None
    if regime != "dist":
        unlabelled = UnlabelledFiles(further.texts, further.logits, 5 if regime == "unlabelled" else None)
    distil_seeds(
        {0: tmp_path / "run"},
        row,
        train=train_texts,
        test=test_texts,
        embeddings=subwords,
        student=Student(filters=4),
        training=Training(epochs=1, min_steps=3),
        train_logits=files["real"],
        synthetic=files["synthetic"] if regime == "gendist-unlabelled" else None,
        unlabelled=unlabelled,
    )
    assert json.loads((tmp_path / "run/student.json").read_text())["trained_on"] == expected
    collect_metrics([tmp_path / "run"], tmp_path / "metrics.parquet")
    table = pq.read_table(tmp_path / "metrics.parquet")
    assert table.schema.names == [*SCHEMA.names, *(OPTIONAL_SCHEMA.names if regime != "dist" else [])]
    (found,) = table.to_pylist()
    assert (found["n_real"], found["n_synthetic"], found.get("n_unlabelled")) == (
        36,
        expected["synthetic"],
        expected.get("unlabelled"),
    )
    inputs = read_metadata(tmp_path / "run/predictions.parquet")["gendist"]["inputs"]
    assert ({"unlabelled", "unlabelled_logits"} <= set(inputs)) == (regime != "dist")


# --- logits ---


def test_unlabelled_rows_are_scored_like_the_synthetic_ones(
    monkeypatch: pytest.MonkeyPatch, test_texts: Path, files: dict[str, Any], tmp_path: Path
):
    from gendist.stages.logits import score_texts as module

    class Model:
        config = type("Config", (), {module.INT8_ERROR_KEY: 0.01})()

        def to(self, place: Any) -> "Model":
            return self

    def cascade(*_: Any) -> Any:
        return type("Cascade", (), {"logits": lambda _, rows, description: (np.zeros((len(rows), 3), np.float32), 0)})()

    monkeypatch.setattr(module, "load_tokenizer", lambda _: None)
    monkeypatch.setattr(module, "class_names", lambda _: ["a", "b", "c"])
    monkeypatch.setattr(module, "load_classifier", lambda *_: Model())
    monkeypatch.setattr(module, "pack_linear_layers", lambda model: model)
    monkeypatch.setattr(module, "Int8Cascade", cascade)
    monkeypatch.setattr(module, "predict_logits", lambda _, __, rows, *___, **____: np.ones((len(rows), 3), np.float32))
    found = {}
    for name, texts in (("labelled", test_texts), ("unlabelled", files["unlabelled"].texts)):
        module.score_files(tmp_path, [texts], [tmp_path / f"{name}.parquet"], 16)
        found[name] = pq.read_table(tmp_path / f"{name}.parquet")["logits"][0].as_py()
    assert found == {"labelled": [1.0] * 3, "unlabelled": [0.0] * 3}
