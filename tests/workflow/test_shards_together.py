"""One job for ten shards: the same files as a job for each."""

import copy

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from toy_texts import sentences
from workflow_fixtures import Checkout, changed

from gendist.config.sampling_settings import Sampling
from gendist.io.parquet import read_metadata
from gendist.nn.pretrained import load_classifier, load_tokenizer
from gendist.stages.logits.batched_logits import predict_logits
from gendist.stages.logits.score_texts import convert_to_bf16, score_files
from gendist.stages.synthetic import generate_shards as generate_shards_module
from gendist.stages.synthetic.generate_shards import generate_shards

TOGETHER = changed(shards_together=True)
POOLS = {"generate_shards": 2, "score_shards": 2}


@pytest.fixture
def shards(generator, tmp_path):
    """Shards 1 to 3 of a pool, made in one go."""
    targets = [tmp_path / f"shard-0000{number}.parquet" for number in (1, 2, 3)]
    generate_shards(generator, targets, Sampling(max_tokens=12), first_shard=1, shard_rows=5, device="cpu")
    return targets


def test_shards_made_and_scored_together_have_the_bytes_that_they_have_alone(shards, generator, encoder, tmp_path):
    logits = [tmp_path / f"logits-{number}.parquet" for number in (1, 2, 3)]
    score_files(encoder, shards, logits, 24, device="cpu")
    for number, (made, scored) in enumerate(zip(shards, logits, strict=True), 1):
        generate_shards(
            generator,
            [tmp_path / "alone.parquet"],
            Sampling(max_tokens=12),
            first_shard=number,
            shard_rows=5,
            device="cpu",
        )
        assert made.read_bytes() == (tmp_path / "alone.parquet").read_bytes()
        assert pq.read_table(made)["row"].to_pylist() == list(range(5 * number, 5 * number + 5))
        score_files(encoder, [made], [tmp_path / "scored.parquet"], 24, device="cpu")
        assert scored.read_bytes() == (tmp_path / "scored.parquet").read_bytes()


def test_a_shard_names_the_gpu_that_made_it(generator, tmp_path, monkeypatch):
    """With a model that stays on the CPU when it is moved."""

    class Place:
        type = "cuda"

    original = generate_shards_module.load_generator

    def stays(*arguments):
        model = original(*arguments)
        monkeypatch.setattr(model, "to", lambda _: model)
        return model

    monkeypatch.setattr(generate_shards_module, "load_generator", stays)
    monkeypatch.setattr(generate_shards_module.devices, "prepare", lambda *_: Place())
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA H100")
    generate_shards(
        generator, [tmp_path / "gpu.parquet"], Sampling(max_tokens=8, batch_size=64), first_shard=0, shard_rows=3
    )
    settings = read_metadata(tmp_path / "gpu.parquet")["gendist"]["settings"]
    assert (settings["device"], settings["precision"], settings["batch_size"]) == ("NVIDIA H100", "bf16", 64)
    monkeypatch.undo()
    generate_shards(
        generator,
        [tmp_path / "cpu.parquet"],
        Sampling(max_tokens=8, batch_size=64),
        first_shard=0,
        shard_rows=3,
        device="cpu",
    )
    settings = read_metadata(tmp_path / "cpu.parquet")["gendist"]["settings"]
    assert settings["precision"] == "int8" and not {"device", "batch_size"} & settings.keys()


def test_a_classifier_in_bf16_keeps_its_head_in_float32(encoder):
    model, tokenizer = load_classifier(str(encoder), ["a", "b", "c"]), load_tokenizer(str(encoder))
    texts, _ = sentences(40, 3)
    exact = predict_logits(model, tokenizer, texts, 24)
    half = convert_to_bf16(copy.deepcopy(model))
    assert half.bert.dtype == torch.bfloat16 and half.classifier.weight.dtype == torch.float32
    found = predict_logits(half, tokenizer, texts, 24, batch_tokens=256)
    assert 0 < np.abs(found - exact).max() < 0.02
    assert not np.array_equal(found, torch.from_numpy(found).bfloat16().float().numpy())


def test_ten_shards_are_a_job(bare: Checkout):
    planned = bare.planned(TOGETHER)
    assert {name: count for name, count in planned.items() if "shard" in name} == POOLS


def test_shards_of_a_file_stay_jobs_of_their_own(bare: Checkout):
    (bare.folder / "toy" / "rows.csv").write_text("text\n" + "the sea\n" * 8)
    planned = bare.planned({**TOGETHER, "generators": {"file": {"rows": "toy/rows.csv"}}})
    assert {name: count for name, count in planned.items() if "shard" in name} == {"cut_shard": 2, "score_shard": 2}
