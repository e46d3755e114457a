"""Files between the stages that are damaged: texts, shards, logits, runs, models, embeddings, exported models."""

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from bad_inputs import BOUNDED, refused, survived
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from gendist.config.generator_settings import Generator
from gendist.errors import GendistError
from gendist.io.json_files import read_json
from gendist.io.parquet import write_parquet
from gendist.io.provenance import Provenance
from gendist.nn.pocket import packaged_files
from gendist.nn.pretrained import class_names, load_causal_lm, load_classifier, load_tokenizer
from gendist.predict.classifier import TextClassifier
from gendist.stages.evaluation.collect_metrics import collect_metrics
from gendist.stages.logits.logits_files import logits_column, read_logits
from gendist.stages.logits.score_texts import score_file
from gendist.stages.students.distil_student import load_student
from gendist.stages.students.subwords import load_subwords
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


# --- model folders ---

HARM: dict[str, Callable[[bytes], bytes | None]] = {
    "missing": lambda _: None,
    "empty": lambda _: b"",
    "cut off": lambda content: content[: len(content) // 2],
    "garbage": lambda content: b"\x80\x04\x95" + bytes(range(256)),
    "flipped": lambda content: bytes(b ^ 0xFF for b in content[:64]) + content[64:],
    "an empty object": lambda _: b"{}",
    "a list": lambda _: b"[1, 2]",
    "html": lambda _: b"<html>not found</html>",
}


def harmed(source: Path, target: Path, file: str, harm: str) -> Path:
    shutil.copytree(source, target)
    content = HARM[harm]((target / file).read_bytes())
    (target / file).unlink()
    if content is not None:
        (target / file).write_bytes(content)
    return target


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_model_folders(file: str, harm: str, gpt2: Path, tmp_path: Path):
    folder = harmed(gpt2, tmp_path / "model", file, harm)

    def load() -> None:
        load_tokenizer(str(folder))
        load_causal_lm(str(folder))

    refused(load, tmp_path, "model ", "model: ")


def test_a_pickle_in_place_of_safetensors_is_never_opened(gpt2: Path, tmp_path: Path):
    folder = tmp_path / "model"
    shutil.copytree(gpt2, folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    refused(lambda: load_causal_lm(str(folder)), tmp_path, "cannot be loaded", "safetensors")


def test_a_model_that_brings_code_is_not_run(gpt2: Path, tmp_path: Path):
    folder = tmp_path / "model"
    shutil.copytree(gpt2, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'pwned')!r}, 'w')\n")
    refused(lambda: load_causal_lm(str(folder)), tmp_path, "cannot be loaded")
    assert not (tmp_path / "pwned").exists()


def test_a_model_of_other_sizes_than_its_config_says(gpt2: Path, tmp_path: Path):
    folder = tmp_path / "model"
    shutil.copytree(gpt2, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"n_embd": 64}))
    refused(lambda: load_causal_lm(str(folder)), tmp_path, "cannot be loaded")


def test_class_names_that_do_not_count_from_zero(encoder: Path, tmp_path: Path):
    folder = tmp_path / "teacher"
    shutil.copytree(encoder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"id2label": {"1": "a", "7": "b"}}))
    refused(lambda: class_names(folder), tmp_path, "config.json: id2label does not name classes")
    refused(lambda: class_names(tmp_path / "none"), tmp_path, "none")


def test_texts_that_a_teacher_is_asked_for(encoder: Path, tmp_path: Path):
    target = tmp_path / "logits.parquet"
    file = parquet(tmp_path / "shard.parquet", **shard(text=[1, 2]))
    refused(lambda: score_file(encoder, file, target, 16), tmp_path, "shard.parquet: column 'text' has type int64")
    file = parquet(tmp_path / "shard.parquet", text=["a"])
    refused(lambda: score_file(encoder, file, target, 16), tmp_path, "shard.parquet: no column 'id' (has text)")


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("file", ["tokenizer.json", "vectors.safetensors"])
def test_embeddings_folders(file: str, harm: str, subwords: Path, tmp_path: Path):
    folder = harmed(subwords, tmp_path / "subwords", file, harm)
    refused(lambda: load_subwords(folder), tmp_path, "subwords")


@pytest.mark.parametrize(
    "tensors",
    [
        {"other": torch.zeros(3, 2)},
        {"vectors": torch.zeros(3)},
        {"vectors": torch.zeros(0, 2)},
        {"vectors": torch.full((500, 2), torch.nan)},
        {"vectors": torch.zeros(3, 2)},
    ],
    ids=["another name", "one dimension", "no rows", "not a number", "too few rows"],
)
def test_vectors_that_are_none(tensors: dict[str, torch.Tensor], subwords: Path, tmp_path: Path):
    shutil.copy(subwords / "tokenizer.json", tmp_path)
    save_file(tensors, tmp_path / "vectors.safetensors")
    refused(lambda: load_subwords(tmp_path), tmp_path, "vectors")


@pytest.mark.parametrize("file", ["subwords/tokenizer.json", "subwords/vectors.safetensors"])
def test_the_packaged_embeddings_are_compared_with_their_hashes(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    models = tmp_path / "models"
    shutil.copytree(packaged_files.MODELS / "subwords", models / "subwords")
    shutil.copy(packaged_files.MODELS / "hashes.json", models)
    monkeypatch.setattr("gendist.stages.students.subwords.SUBWORDS", models / "subwords")
    monkeypatch.setattr(
        "gendist.stages.students.subwords.packaged_subwords", lambda: packaged_files.packaged_subwords(models)
    )
    assert len(load_subwords(models / "subwords").vectors) == 10_000
    content = bytearray((models / file).read_bytes())
    content[-3] ^= 1  # one bit, which neither format notices
    (models / file).write_bytes(bytes(content))
    refused(lambda: load_subwords(models / "subwords"), tmp_path, file, "sha256 is", "reinstall gendist")


STUDENT_HARM = {
    "student.json": ["missing", "empty", "cut off", "garbage", "an empty object", "a list"],
    "model.safetensors": ["missing", "empty", "cut off", "garbage", "flipped"],
}


@pytest.mark.parametrize(("file", "harm"), [(f, h) for f, harms in STUDENT_HARM.items() for h in harms])
def test_students(file: str, harm: str, exported: Path, subwords: Path, tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(exported.parent / "run", run)
    folder = harmed(run, tmp_path / "harmed", file, harm)
    refused(lambda: load_student(folder, load_subwords(subwords)), tmp_path, f"harmed/{file}")


@pytest.mark.parametrize("changed", [{"student": {"filters": -1}}, {"student": 3}, {"label_names": 3}, {"student": {}}])
def test_student_descriptions_that_make_no_sense(
    changed: dict[str, Any], exported: Path, subwords: Path, tmp_path: Path
):
    folder = tmp_path / "run"
    shutil.copytree(exported.parent / "run", folder)
    description = json.loads((folder / "student.json").read_text())
    (folder / "student.json").write_text(json.dumps(description | changed))
    refused(lambda: load_student(folder, load_subwords(subwords)), tmp_path, "run/")


# --- exported models: anybody's ---

EXPORT = ("gendist-model.json", "model.int8.onnx", "look-up.safetensors", "tokenizer.json")


def with_hashes(folder: Path, **changed: Any) -> Path:
    """The folder with values of its description replaced, and hashes that fit, as an attacker would have them."""
    from gendist.io.provenance import hash_file

    description = json.loads((folder / "gendist-model.json").read_text())
    files = {f.name: hash_file(f) for f in folder.iterdir() if f.name in description["files"]}
    (folder / "gendist-model.json").write_text(json.dumps({**description, "files": files, **changed}))
    return folder


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("file", EXPORT)
def test_exported_models_by_damage(file: str, harm: str, exported: Path, tmp_path: Path):
    folder = harmed(exported, tmp_path / "model", file, harm)
    refused(lambda: TextClassifier.load(folder, tables=file != EXPORT[1]), tmp_path, "model")


@pytest.mark.parametrize("harm", [harm for harm in HARM if harm != "missing"])
@pytest.mark.parametrize("file", EXPORT[1:])
def test_exported_models_by_intent(file: str, harm: str, exported: Path, tmp_path: Path):
    folder = with_hashes(harmed(exported, tmp_path / "model", file, harm))
    tables = file != EXPORT[1]
    refused(lambda: TextClassifier.load(folder, tables=tables).predict(["a wave"]), tmp_path, "", "cannot be")


@pytest.mark.parametrize(
    "changed",
    [
        {"format": "1"},
        {"format": 2},
        {"format": None},
        {"labels": "sea"},
        {"labels": []},
        {"labels": ["a"]},
        {"labels": ["a", "a", "b"]},
        {"labels": [1, 2, 3]},
        {"labels": ["a"] * 3},
        {"labels": [f"l{i}" for i in range(100)]},
        {"temperature": 0},
        {"temperature": -1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"temperature": "warm"},
        {"temperature": None},
        {"max_pieces": 0},
        {"max_pieces": -5},
        {"max_pieces": 10**30},
        {"max_pieces": "many"},
        {"text": {}},
        {"text": {"columns": "text", "separator": " "}},
        {"text": {"columns": [1], "separator": " "}},
        {"files": {}},
        {"files": []},
        {"files": {"../../../etc/passwd": "0"}},
        {"files": {"model.int8.onnx": 3, "tokenizer.json": 4}},
        {"files": {"look-up.safetensors": 3, "tokenizer.json": 4}},
    ],
    ids=str,
)
def test_descriptions_of_exported_models(changed: dict[str, Any], exported: Path, tmp_path: Path):
    folder = tmp_path / "model"
    shutil.copytree(exported, folder)
    with_hashes(folder, **changed)
    refused(lambda: TextClassifier.load(folder), tmp_path, "model")


def test_a_network_that_does_not_fit_its_tokenizer_or_asks_for_other_files(exported: Path, tmp_path: Path):
    import onnx
    from onnx import TensorProto, helper
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path / "model"
    shutil.copytree(exported, folder)
    words = Tokenizer(models.WordLevel({"a": 1_000_000, "[UNK]": 1_000_001}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(folder / "tokenizer.json"))
    with_hashes(folder)
    for tables in (False, True):
        classifier = TextClassifier.load(folder, tables=tables)
        refused(partial(classifier.predict, ["a b"]), tmp_path, "cannot be run")
    # Weights that lie in a file outside of the folder.
    (tmp_path / "secret.bin").write_bytes(b"\0" * 48)
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 3], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": "../secret.bin", "offset": "0", "length": "48"}.items():
        weights.external_data.add(key=key, value=value)
    sizes = ["rows", "pieces"]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, sizes) for name in ("ids", "mask")]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", 3])]
    nodes = [
        helper.make_node("Gather", ["w", "ids"], ["g"]),
        helper.make_node("ReduceSum", ["g", "axis"], ["logits"], keepdims=0),
    ]
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [1])
    graph = helper.make_graph(nodes, "g", inputs, outputs, [weights, axis])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (folder / "model.int8.onnx").write_bytes(model.SerializeToString())
    assert onnx.load(folder / "model.int8.onnx", load_external_data=False)
    with_hashes(folder)
    here = Path.cwd()
    os.chdir(folder)
    try:
        refused(lambda: TextClassifier.load(folder, tables=False), tmp_path, "the model cannot be loaded")
    finally:
        os.chdir(here)


def test_an_exported_model_is_no_pipe_and_not_endless(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "model"
    shutil.copytree(exported, folder)
    for file in EXPORT:
        (folder / file).rename(folder / "kept")
        os.mkfifo(folder / file)
        refused(partial(TextClassifier.load, folder, tables=file != EXPORT[1]), tmp_path, f"{file}: is a pipe")
        (folder / file).unlink()
        (folder / "kept").rename(folder / file)
    monkeypatch.setattr("gendist.predict.exported_model.MAX_FILE_BYTES", 1000)
    refused(lambda: TextClassifier.load(folder, tables=False), tmp_path, "larger than 1,000 bytes")


# --- any damage ---


@given(data=st.data())
@BOUNDED
def test_any_damage_of_json_is_taken_or_told_in_one_line(data: st.DataObject, tmp_path: Path):
    file = tmp_path / "record.json"
    file.write_bytes(data.draw(st.binary(max_size=40)) + data.draw(st.sampled_from([b"", b'{"a": 1}', b"[", b"{}"])))
    survived(lambda: read_json(file), tmp_path)


@given(data=st.data())
@BOUNDED
def test_any_bit_of_a_shard_and_its_logits_may_flip(data: st.DataObject, tmp_path: Path):
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
