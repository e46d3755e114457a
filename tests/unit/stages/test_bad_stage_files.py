"""Files between the stages that are damaged: texts, shards, logits, runs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bad_inputs import BOUNDED, refused, survived
from hypothesis import given
from hypothesis import strategies as st

from gendist.config.generator_settings import Generator
from gendist.errors import GendistError
from gendist.io.json_files import read_json
from gendist.io.parquet import write_parquet
from gendist.io.provenance import Provenance
from gendist.nn.pretrained import load_classifier
from gendist.stages.evaluation.collect_metrics import collect_metrics
from gendist.stages.logits.logits_files import logits_column, read_logits
from gendist.stages.logits.score_texts import score_files
from gendist.stages.synthetic.pool_reader import read_pool
from gendist.stages.texts.text_tables import read_texts

NAMES = {"label_names": ["sea", "sky"]}


def parquet(path: Path, metadata: dict[str, Any] | None = None, **columns: Any) -> Path:
    write_parquet(path, pa.table(columns), Provenance("test"), metadata)
    return path


def texts(**changed: Any) -> dict[str, Any]:
    return {"id": [1, 2, 3], "text": ["a", "b", "c"], "label": [0, 1, 0], **changed}


@pytest.mark.parametrize(
    ("columns", "metadata", "said"),
    [
        (texts(id=["1", "2", "3"]), NAMES, "column 'id' has type string, expected integers"),
        (texts(id=[1.0, 2.0, 3.0]), NAMES, "column 'id' has type double"),
        (texts(id=[1, None, 3]), NAMES, "column 'id' has empty cells (first in row 1)"),
        (texts(id=[1, 2, 1]), NAMES, "id 1 occurs twice"),
        (texts(text=[1, 2, 3]), NAMES, "column 'text' has type int64, expected strings"),
        (texts(text=["a", "b", None]), NAMES, "column 'text' has empty cells (first in row 2)"),
        (texts(text=[["a"], ["b"], ["c"]]), NAMES, "column 'text' has type list"),
        (texts(text=[b"a", b"b", b"c"]), NAMES, "column 'text' has type binary"),
        (texts(label=["sea", "sky", "sea"]), NAMES, "column 'label' has type string"),
        (texts(label=[0, 1, 2]), NAMES, "row 2 has label 2; label_names has 2 entries"),
        (texts(label=[0, -1, 0]), NAMES, "row 1 has label -1"),
        (texts(label=[0, None, 0]), NAMES, "column 'label' has empty cells"),
        (texts(), {}, "no label_names"),
        (texts(), {"label_names": "sea"}, "no label_names"),
        (texts(), {"label_names": []}, "no label_names"),
        ({"id": [1], "text": ["a"]}, NAMES, "no column 'label' (has id, text)"),
        ({k: pa.array([], pa.int64() if k != "text" else pa.string()) for k in texts()}, NAMES, "no rows"),
    ],
)
def test_texts(columns: dict[str, Any], metadata: dict[str, Any], said: str, tmp_path: Path):
    file = parquet(tmp_path / "train.parquet", metadata, **columns)
    refused(lambda: read_texts(file), tmp_path, "train.parquet: ", said)


def shard(**changed: Any) -> dict[str, Any]:
    return {"row": [0, 1], "text": ["a", "b"], "n_tokens": [1, 1], "finish": ["end", "end"], **changed}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (shard(row=["0", "1"]), "column 'row' has type string"),
        (shard(row=[0, 0]), "rows 0 to 1 expected, found 2 rows; at index 1 is row 0"),
        (shard(row=[1, 2]), "at index 0 is row 1"),
        (shard(row=[0, None]), "column 'row' has empty cells"),
        (shard(row=[0, -1]), "at index 1 is row -1"),
        (shard(text=[1, 2]), "column 'text' has type int64"),
        (shard(text=["a", None]), "column 'text' has empty cells"),
        (shard(finish=[0, 1]), "column 'finish' has type int64"),
        (shard(finish=["empty", "empty"]), "all 2 generated rows are empty"),
        ({"row": [0, 1], "text": ["a", "b"]}, "no column 'finish' (has row, text)"),
        ({"row": [0], "text": ["a"], "finish": ["end"]}, "rows 0 to 1 expected, found 1 rows"),
    ],
)
def test_shards(columns: dict[str, Any], said: str, tmp_path: Path):
    file = parquet(tmp_path / "shard-00000.parquet", **columns)
    refused(lambda: read_pool([file], 2), tmp_path, "shard-00000.parquet", said)


def test_shards_that_do_not_fit_each_other(tmp_path: Path):
    first = parquet(tmp_path / "shard-00000.parquet", **shard())
    second = parquet(tmp_path / "shard-00001.parquet", **shard(row=pa.array([2, 3], pa.int32())))
    refused(lambda: read_pool([first, second], 4), tmp_path, "shard-00001.parquet: column types differ")
    refused(lambda: read_pool([first, first], 4), tmp_path, "at index 2 is row 0")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"id": [1], "logits": ["0.5"]}, "column 'logits' has type string, expected lists of numbers"),
        ({"id": [1], "logits": [["0.5"]]}, "expected lists of numbers"),
        ({"id": [1], "logits": [0.5]}, "column 'logits' has type double"),
        ({"id": [1], "logits": [{"a": 1.0}]}, "expected lists of numbers"),
        ({"id": [1], "logits": pa.array([None], pa.list_(pa.float32()))}, "column 'logits' has empty cells"),
        ({"id": [1, 2], "logits": [[0.5], [0.5, 1.0]]}, "differ in length (row 1)"),
        ({"id": [1], "logits": pa.array([[]], pa.list_(pa.float32()))}, "(row 0)"),
        ({"id": [1, 2], "logits": [[0.5], [float("nan")]]}, "not finite (row 1)"),
        ({"id": [1, 2], "logits": [[0.5], [float("-inf")]]}, "not finite (row 1)"),
        ({"id": [1, 2], "logits": pa.array([[0.5], [None]], pa.list_(pa.float32()))}, "not finite (row 1)"),
        ({"id": [1, 1], "logits": [[0.5], [0.5]]}, "id 1 occurs twice"),
        ({"id": ["a"], "logits": [[0.5]]}, "column 'id' has type string"),
        ({"row": [1], "logits": [[0.5]]}, "no column 'id' (has row, logits)"),
        ({"id": [1]}, "no column 'logits'"),
    ],
)
def test_logits(columns: dict[str, Any], said: str, tmp_path: Path):
    file = parquet(tmp_path / "train.parquet", **columns)
    refused(lambda: read_logits([file], "id"), tmp_path, "train.parquet", said)


def run_folder(folder: Path, **changed: Any) -> Path:
    """A run folder with a metrics.json in which some values are replaced."""
    from report_fixtures import run

    row = {k: v for k, v in run("toy", "kim", 0.5).items() if k != "train_seconds"}
    folder.mkdir(parents=True, exist_ok=True)
    row = {k: v for k, v in {**row, **changed}.items() if v != "left out"}
    (folder / "metrics.json").write_text(json.dumps(row))
    (folder / "timing.json").write_text('{"train_seconds": 1.0}')
    return folder


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("metrics.json", "", "damaged"),
        ("metrics.json", "{", "damaged"),
        ("metrics.json", "[]", "not a JSON object"),
        ("metrics.json", "[" * 100_000, "damaged"),
        ("metrics.json", "{}", "lacks accuracy"),
        ("metrics.json", None, "no such file"),
        ("timing.json", None, "no such file"),
        ("timing.json", "{}", "'train_seconds' is empty"),
        ("timing.json", '{"train_seconds": NaN}', "NaN is not a number"),
        ("timing.json", '{"train_seconds": "long"}', "wrong type"),
        ({"accuracy": float("nan")}, None, "NaN is not a number"),
        ({"accuracy": float("inf")}, None, "Infinity is not a number"),
        ({"accuracy": "high"}, None, "wrong type"),
        ({"accuracy": None}, None, "'accuracy' is empty"),
        ({"accuracy": "left out"}, None, "lacks accuracy"),
        ({"seed": 10**30}, None, "wrong type"),
        ({"dataset": 3}, None, "wrong type"),
        ({"colour": "red"}, None, "has unknown colour"),
    ],
)
def test_run_folders(file: str | dict[str, Any], content: str | None, said: str, tmp_path: Path):
    folder = run_folder(tmp_path / "run", **(file if isinstance(file, dict) else {}))
    if isinstance(file, str):
        (folder / file).unlink()
        if content is not None:
            (folder / file).write_text(content)
    refused(lambda: collect_metrics([folder], tmp_path / "metrics.parquet"), tmp_path, "run/", said)


def test_texts_that_a_teacher_is_asked_for(encoder: Path, tmp_path: Path):
    target = tmp_path / "logits.parquet"
    file = parquet(tmp_path / "shard.parquet", **shard(text=[1, 2]))
    refused(lambda: score_files(encoder, [file], [target], 16), tmp_path, "shard.parquet: column 'text' has type int64")
    file = parquet(tmp_path / "shard.parquet", text=["a"])
    refused(lambda: score_files(encoder, [file], [target], 16), tmp_path, "shard.parquet: no column 'id' (has text)")


# --- any damage ---


@given(data=st.data())
@BOUNDED
def test_any_damage_of_json_is_accepted_or_one_line(data: st.DataObject, tmp_path: Path):
    file = tmp_path / "record.json"
    file.write_bytes(data.draw(st.binary(max_size=40)) + data.draw(st.sampled_from([b"", b'{"a": 1}', b"[", b"{}"])))
    survived(lambda: read_json(file), tmp_path)


@given(data=st.data())
@BOUNDED
def test_a_flipped_bit_of_a_shard_or_its_logits_is_accepted_or_one_line(data: st.DataObject, tmp_path: Path):
    rows = {"row": list(range(50)), "text": [f"text {i}" for i in range(50)], "finish": ["end"] * 50}
    logits = logits_column(np.random.default_rng(0).normal(size=(50, 3)))
    pool = parquet(tmp_path / "shard.parquet", **rows)
    scores = parquet(tmp_path / "logits.parquet", row=rows["row"], logits=logits)
    for file in (pool, scores):
        content = bytearray(file.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= 1 << data.draw(st.integers(0, 7))
        file.write_bytes(bytes(content))
    if survived(lambda: read_pool([pool], 50), tmp_path):
        assert read_pool([pool], 50).texts == rows["text"]  # a flip in what is not read
    if survived(lambda: read_logits([scores], "row"), tmp_path):
        assert read_logits([scores], "row")[0].tolist() == rows["row"]


def test_settings_that_came_through_the_workflow_are_checked_again():
    with pytest.raises(ValueError):
        Generator(model="pocket", seed=-1)
    with pytest.raises(GendistError):
        load_classifier("/none", ["a", "b"])
    assert pq.__name__ == "pyarrow.parquet"
