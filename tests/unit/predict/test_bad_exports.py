"""Exported models that are damaged or hostile."""

import json
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from bad_inputs import HARM, harmed, refused

from gendist.predict.classifier import TextClassifier

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
        {"format": 3},
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
