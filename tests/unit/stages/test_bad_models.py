"""Models that are damaged or hostile: generators, teachers, embeddings, students."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from bad_inputs import HARM, harmed, refused
from safetensors.torch import load_file, save_file

from gendist.nn.pocket import packaged_files
from gendist.nn.pretrained import class_names, load_causal_lm, load_tokenizer
from gendist.stages.students.distil_student import load_student
from gendist.stages.students.subwords import load_subwords


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


@pytest.mark.parametrize("file", [*packaged_files.SUBWORD_FILES, *packaged_files.WORDPIECE_FILES])
def test_the_packaged_embeddings_are_compared_with_their_hashes(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    models, folder = tmp_path / "models", Path(file).parent
    shutil.copytree(packaged_files.MODELS / folder, models / folder)
    shutil.copy(packaged_files.MODELS / "hashes.json", models)
    name = {"subwords": "pocket", "wordpiece": "wordpiece"}[folder.name]
    monkeypatch.setattr("gendist.stages.students.subwords.EMBEDDINGS", {name: models / folder})
    monkeypatch.setattr(
        "gendist.stages.students.subwords.packaged_subwords",
        lambda name: packaged_files.packaged_subwords(models, name),
    )
    assert len(load_subwords(models / folder).vectors) >= 10_000
    content = bytearray((models / file).read_bytes())
    content[-3] ^= 1  # one bit, which neither format notices
    (models / file).write_bytes(bytes(content))
    refused(lambda: load_subwords(models / folder), tmp_path, file, "sha256 is", "reinstall gendist")


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
