"""The embedded general text: scored by the teacher, beside the rows of students that ask for it."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tiny_stages import write_texts
from toy_texts import sentences

from gendist.config import study_from
from gendist.config.student_settings import GENERAL_ROWS, Student, Training
from gendist.errors import GendistError
from gendist.io.json_files import read_json
from gendist.io.parquet import read_metadata, write_parquet
from gendist.io.provenance import Provenance, hash_file
from gendist.naming import RunKey
from gendist.nn.pocket.packaged_files import GENERAL_TEXTS, MODELS
from gendist.stages.students.distil_student import distil_seeds, student_metadata
from gendist.stages.students.training_rows import SyntheticFiles, UnlabelledFiles, assemble_training_rows
from gendist.stages.texts.prepare_general import prepare_general
from gendist.stages.texts.text_tables import read_texts, read_unlabelled
from tools.pocket.general_texts import write_general_texts

PACKAGED = MODELS / GENERAL_TEXTS


def packaged_texts() -> list[str]:
    texts: list[str] = pq.read_table(PACKAGED)["text"].to_pylist()
    return texts


def test_the_package_has_the_rows_that_a_config_may_ask_for():
    texts = packaged_texts()
    assert len(texts) == len(set(texts)) == GENERAL_ROWS
    words = [len(text.split()) for text in texts]
    assert min(words) >= 5 and max(words) <= 60
    assert study_from({"datasets": {"a": {"train": "a.csv", "test": "b.csv"}}}).general_rows == GENERAL_ROWS
    with pytest.raises(GendistError, match=r"'students\.k\.general_rows' is 10001; input should be less"):
        study_from({"datasets": {"a": {"train": "a", "test": "b"}}, "students": {"k": {"general_rows": 10_001}}})


def test_rows_that_would_leak_are_dropped(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    texts = packaged_texts()
    train = write_texts(tmp_path / "train.parquet", ["the moon is up", texts[3].upper()], [0, 1])
    test = write_texts(tmp_path / "test.parquet", ["clay", texts[0]], [0, 1])
    with caplog.at_level("INFO"):
        prepare_general(50, train, test, tmp_path / "general.parquet")
    ids, kept = read_unlabelled(tmp_path / "general.parquet")
    assert ids.tolist() == [1, 2, *range(4, 50)] and kept == [texts[i] for i in ids]
    assert "dropped 2 of 50 rows of general text: in the training or test rows too" in caplog.messages
    record = read_metadata(tmp_path / "general.parquet")["gendist"]
    assert record["inputs"]["source"] == hash_file(PACKAGED) and record["settings"] == {"rows": 50}


CLASSES = 3


def scores(path: Path, key: str, keys: Any, labels: Any) -> Path:
    logits = [[4.0 if c == label else -1.0 for c in range(CLASSES)] for label in labels]
    table = pa.table({key: pa.array(keys, pa.int64()), "logits": pa.array(logits, pa.list_(pa.float32()))})
    write_parquet(path, table, Provenance("logits"))
    return path


@pytest.fixture(scope="module")
def files(train_texts: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Logits of the real rows, a shard of six rows and nine general texts with theirs."""
    folder, real = tmp_path_factory.mktemp("general"), read_texts(train_texts)
    texts, labels = sentences(9, 21)
    write_parquet(folder / "texts.parquet", pa.table({"id": range(9), "text": texts}), Provenance("texts"))
    made, made_labels = sentences(6, 12)
    shard = pa.table({"row": range(6), "text": made, "finish": ["given"] * 6})
    write_parquet(folder / "shard.parquet", shard, Provenance("synthetic"))
    return {
        "real": scores(folder / "real.parquet", "id", real.ids, real.labels),
        "general": UnlabelledFiles(folder / "texts.parquet", scores(folder / "g.parquet", "id", range(9), labels)),
        "synthetic": SyntheticFiles(
            [folder / "shard.parquet"], [scores(folder / "made.parquet", "row", range(6), made_labels)], 6
        ),
        "labels": labels,
    }


def test_general_texts_stand_between_labelled_and_synthetic_rows(train_texts: Path, files: dict[str, Any]):
    real = read_texts(train_texts)
    further = {"real_logits": files["real"], "synthetic": files["synthetic"], "general": files["general"]}
    rows = assemble_training_rows("gendist", real, **further, general_rows=4)
    assert rows.texts == real.texts + sentences(9, 21)[0][:4] + sentences(6, 12)[0] and rows.n_real == 36
    assert rows.logits is not None and rows.logits.argmax(1).tolist()[36:40] == list(files["labels"][:4])
    plain = assemble_training_rows("gendist", real, **further)
    assert plain.texts == real.texts + sentences(6, 12)[0]
    assert plain.logits is not None and torch.equal(plain.logits[36:], rows.logits[40:])
    for regime in ("scratch", "dist", "synthetic", "hard"):  # these compare what their rows bring
        assert not {*sentences(9, 21)[0]} & {*assemble_training_rows(regime, real, **further, general_rows=9).texts}
    with pytest.raises(GendistError, match="'gendist' of a student with general_rows needs general texts"):
        assemble_training_rows("gendist", real, **{**further, "general": None}, general_rows=4)


def test_a_run_counts_and_records_them(
    train_texts: Path, test_texts: Path, subwords: Path, files: dict[str, Any], tmp_path: Path
):
    run = tmp_path / "run"
    distil_seeds(
        {0: run},
        student_metadata(RunKey("toy", "kim", "gendist", "t.g.full.default", 6, 0)),
        train=train_texts,
        test=test_texts,
        embeddings=subwords,
        student=Student(filters=4, general_rows=7),
        training=Training(min_steps=2, max_steps=2),
        train_logits=files["real"],
        synthetic=files["synthetic"],
        general=files["general"],
    )
    assert read_json(run / "student.json")["trained_on"] == {"real": 36, "synthetic": 6, "general": 7}
    inputs = read_metadata(run / "predictions.parquet")["gendist"]["inputs"]
    assert inputs["general"] == hash_file(files["general"].texts)
    assert inputs["general_logits"] == hash_file(files["general"].logits)
    assert read_json(run / "metrics.json")["n_synthetic"] == 6


def test_sources_get_equal_shares(tmp_path: Path):
    rng = np.random.default_rng(0)
    words = np.array(["tide", "moon", "clay", "root", "wave", "star", "sand", "leaf"])
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        articles = [" ".join([name, *rng.choice(words, 30)]) + "." for _ in range(400)]
        pq.write_table(pa.table({"text": articles}), folder / "x.parquet")
    sources = [tmp_path / "a", tmp_path / "a", tmp_path / "b"]
    write_general_texts(sources, 30, tmp_path / "out/general.parquet")
    table = pq.read_table(tmp_path / "out/general.parquet")
    assert Counter(table["source"].to_pylist()) == {"a": 20, "b": 10}
    assert all(text.startswith(source) for text, source in zip(*table.to_pydict().values(), strict=True))
    write_general_texts(sources, 30, tmp_path / "again.parquet")
    assert pq.read_table(tmp_path / "again.parquet").equals(table)
    with pytest.raises(GendistError, match=r"a: \d+ snippets, but 2,000 are requested"):
        write_general_texts(sources, 3000, tmp_path / "many.parquet")
