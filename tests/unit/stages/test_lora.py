"""Adapters of a generator: trained, saved, resumed, merged for sampling."""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from chat_fixtures import adapter_settings, make_llama
from safetensors.torch import load_file

from gendist.config.generator_settings import Generator
from gendist.config.sampling_settings import Sampling
from gendist.errors import GendistError
from gendist.io.json_files import read_json
from gendist.io.parquet import read_metadata
from gendist.jobs import stop_signals
from gendist.jobs.save_timer import SAVE_SECONDS_VARIABLE
from gendist.nn.pretrained import load_causal_lm
from gendist.stages.generator.adapters import SETTINGS, WEIGHTS, load_generator
from gendist.stages.generator.finetune_generator import finetune_generator
from gendist.stages.generator.generator_folder import GeneratorRecord, read_record
from gendist.stages.synthetic.generate_shards import generate_shards

pytest.importorskip("peft", reason="needs the extra 'lora'")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_llama(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture(scope="module")
def adapters(llama: Path, train_texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generators") / "lora"
    finetune_generator(train_texts, folder, adapter_settings(llama, held_out=0.2, patience=4, conditional=True))
    return folder


def test_the_folder_has_adapters_in_place_of_weights(adapters: Path, llama: Path):
    files = {file.name for file in adapters.iterdir()}
    assert {"config.json", "tokenizer.json", "history.csv", "gendist.json", WEIGHTS, SETTINGS} <= files
    assert not {"model.safetensors", "README.md"} & files
    weights = load_file(adapters / WEIGHTS)
    width, heads = 32, 16  # of hidden states, and of the two key-value heads
    assert {name.split("layers.")[1]: tuple(value.shape) for name, value in weights.items()} == {
        f"{layer}.self_attn.{target}_proj.lora_{part}.weight": shape
        for layer in range(2)
        for target, out in (("q", width), ("v", heads))
        for part, shape in (("A", (4, width)), ("B", (out, 4)))
    }
    assert read_json(adapters / SETTINGS)["base_model_name_or_path"] == str(llama)
    assert read_record(adapters) == GeneratorRecord(label_names=("sea", "sky", "soil"), dtype="auto")


def test_training_lowers_the_loss_of_held_out_rows(adapters: Path):
    rows = [line.split(",") for line in (adapters / "history.csv").read_text().splitlines()[1:]]
    assert float(rows[-1][2]) < float(rows[0][2]) - 0.1


def test_provenance_has_the_settings_of_the_adapters(adapters: Path):
    record = json.loads((adapters / "gendist.json").read_text())
    assert record["settings"]["lora"] == {"rank": 4, "alpha": None, "dropout": 0.0, "targets": None}
    assert "trainable" not in record["settings"] and list(record["source_models"]) == ["tiny-llama"]


def test_merged_weights_are_the_models_plus_the_scaled_product(adapters: Path, llama: Path):
    before, after = load_causal_lm(str(llama)), load_generator(adapters, adapters)
    weights = load_file(adapters / WEIGHTS)
    name = "model.layers.1.self_attn.q_proj"
    parts = [weights[f"base_model.model.{name}.lora_{part}.weight"] for part in "BA"]
    expected = before.get_parameter(f"{name}.weight") + 2 * parts[0] @ parts[1]  # alpha is twice the rank
    torch.testing.assert_close(after.get_parameter(f"{name}.weight"), expected)
    torch.testing.assert_close(after.model.embed_tokens.weight, before.model.embed_tokens.weight)
    assert type(after) is type(before)


def test_rows_are_the_same_for_any_shards_and_batches(adapters: Path, tmp_path: Path):
    names = [tmp_path / f"shard-{i:05d}.parquet" for i in range(3)]
    generate_shards(adapters, names, Sampling(max_tokens=12, batch_size=5), first_shard=0, shard_rows=4)
    generate_shards(adapters, [tmp_path / "one.parquet"], Sampling(max_tokens=12), first_shard=1, shard_rows=4)
    assert pq.read_table(names[1]).equals(pq.read_table(tmp_path / "one.parquet"))
    assert len({text for name in names for text in pq.read_table(name)["text"].to_pylist()}) > 6


def test_equal_settings_give_equal_bytes_also_after_a_stop(
    llama: Path,
    train_texts: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    settings = adapter_settings(llama, epochs=2)
    finetune_generator(train_texts, tmp_path / "whole", settings)
    monkeypatch.setenv(SAVE_SECONDS_VARIABLE, "0")
    steps = 0

    def stop_at_seven(*_: object) -> None:
        nonlocal steps
        steps += 1
        if steps == 7:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(stop_signals, "raise_if_stopped", stop_at_seven)
        finetune_generator(train_texts, tmp_path / "cut", settings, work=tmp_path / "results/.work")
    with caplog.at_level("INFO"):
        finetune_generator(train_texts, tmp_path / "cut", settings, work=tmp_path / "results/.work")
    assert "resuming from step 6 of " in caplog.text
    for name in (WEIGHTS, SETTINGS, "config.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes(), name


@pytest.mark.parametrize(
    ("targets", "layers"),
    [(["gate_proj", "down_proj"], {"gate_proj", "down_proj"}), (["self_attn.o_proj"], {"o_proj"})],
)
def test_targets_choose_layers(llama: Path, train_texts: Path, tmp_path: Path, targets: list[str], layers: set[str]):
    lora = {"rank": 2, "alpha": 8, "targets": targets}
    finetune_generator(train_texts, tmp_path / "out", adapter_settings(llama, epochs=0.2, lora=lora))
    assert {name.split(".lora_")[0].split(".")[-1] for name in load_file(tmp_path / "out" / WEIGHTS)} == layers
    assert read_json(tmp_path / "out" / SETTINGS)["lora_alpha"] == 8


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("query", "has no linear layer 'query'; it has q_proj, k_proj, v_proj, o_proj, gate_proj"),
        ("lm_head", "lm_head"),
    ],
)
def test_a_layer_that_is_not_there_is_named(llama: Path, train_texts: Path, tmp_path: Path, target: str, message: str):
    with pytest.raises(GendistError, match=message):
        finetune_generator(train_texts, tmp_path / "out", adapter_settings(llama, lora={"targets": [target]}))
    assert not (tmp_path / "out").exists()


def test_gpt2_and_bert_have_adapters_too(gpt2: Path, bert_decoder: Path, train_texts: Path, tmp_path: Path):
    for name, model in (("gpt2", gpt2), ("bert", bert_decoder)):
        settings = adapter_settings(model, epochs=1, finetunes=2)
        finetune_generator(train_texts, tmp_path / name, settings)
        assert read_record(tmp_path / name) == GeneratorRecord(members=2, int8=True, stochastic=True, dtype="auto")
        shard = tmp_path / f"{name}.parquet"
        generate_shards(tmp_path / name, [shard], Sampling(max_tokens=8), first_shard=0, shard_rows=4)
        assert read_metadata(shard)["gendist"]["settings"]["precision"] == "int8"


def test_bf16_halves_the_weights_and_rows_still_do_not_depend_on_the_batch(
    llama: Path, train_texts: Path, tmp_path: Path
):
    settings = adapter_settings(llama, epochs=1, dtype="bf16", lora={"rank": 2, "dropout": 0.1})
    finetune_generator(train_texts, tmp_path / "out", settings)
    assert {value.dtype for value in load_file(tmp_path / "out" / WEIGHTS).values()} == {torch.float32}
    shards = [tmp_path / f"{name}.parquet" for name in ("a", "b", "c")]
    generate_shards(tmp_path / "out", shards[:2], Sampling(max_tokens=12, batch_size=8), first_shard=0, shard_rows=4)
    generate_shards(tmp_path / "out", shards[2:], Sampling(max_tokens=12, batch_size=1), first_shard=1, shard_rows=4)
    assert pq.read_table(shards[1]).equals(pq.read_table(shards[2]))
    assert read_metadata(shards[0])["gendist"]["settings"]["weights"] == "bf16"


def test_a_changed_model_is_noticed(llama: Path, adapters: Path, tmp_path: Path):
    moved = tmp_path / "tiny-llama"
    make_llama(moved)
    model = load_causal_lm(str(moved))
    model.model.norm.weight.data += 1
    model.save_pretrained(moved)
    folder = tmp_path / "lora"
    finetuned = json.loads((adapters / SETTINGS).read_text())
    folder.mkdir()
    for file in adapters.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    record = json.loads((folder / "gendist.json").read_text())
    del record["files"]  # whose checksum of the settings changes here
    (folder / "gendist.json").write_text(json.dumps(record))
    (folder / SETTINGS).write_text(json.dumps(finetuned | {"base_model_name_or_path": str(moved)}))
    with pytest.raises(GendistError, match=r"tiny-llama: changed since the adapters in .* were trained"):
        load_generator(folder, folder)
    (folder / WEIGHTS).write_bytes(b"x")
    (folder / SETTINGS).write_text(json.dumps(finetuned))
    with pytest.raises(GendistError, match="adapters cannot be loaded"):
        load_generator(folder, folder)


def test_damaged_adapters_are_noticed(adapters: Path, tmp_path: Path):
    for file in adapters.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = bytearray((tmp_path / WEIGHTS).read_bytes())
    weights[-1] ^= 1
    (tmp_path / WEIGHTS).write_bytes(weights)
    with pytest.raises(GendistError, match=r"adapter_model\.safetensors"):
        load_generator(tmp_path, tmp_path)


def test_without_peft_the_extra_is_named(
    llama: Path, adapters: Path, train_texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(GendistError, match=r"'lora' needs an extra: pip install 'gendist\[lora\]' \(peft\)"):
        finetune_generator(train_texts, tmp_path / "out", adapter_settings(llama))
    with pytest.raises(GendistError, match="'lora' needs an extra"):
        load_generator(adapters, adapters)


def test_a_config_without_lora_is_recorded_as_before():
    assert not {"lora", "dtype", "instruct", "endpoint", "rows"} & set(Generator().model_dump(mode="json"))
