"""The teacher that suits few rows: mean pooling, contrast, averaged members; and packed layers."""

import copy
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_stages import write_texts
from toy_texts import NAMES, sentences
from transformers import AutoModel

from gendist.config.teacher_settings import Teacher
from gendist.errors import GendistError
from gendist.nn.packed_linear import PackedLinear, pack_linear_layers
from gendist.nn.pooled_classifier import HEAD_FILE, PooledClassifier, contrastive_loss
from gendist.nn.pretrained import load_causal_lm, load_classifier
from gendist.stages.logits.score_texts import class_names, score_files
from gendist.stages.teacher import finetune_teacher as finetune
from gendist.stages.teacher.finetune_teacher import finetune_teacher, max_epochs
from gendist.stages.teacher.training_loop import pair_by_class
from gendist.stages.texts.text_tables import read_texts


def quick(model, **changed):
    values = {"epochs": 8, "learning_rate": 3e-3, "batch_size": 8, "max_tokens": 24, "held_out": 0.2}
    return Teacher(**{"model": str(model), "pooling": "mean", "contrastive": 0.5, **values, **changed})


@pytest.fixture(scope="module")
def teacher(encoder, train_texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teachers") / "pooled"
    finetune_teacher(train_texts, folder, quick(encoder, members=2))
    return folder


def test_a_pooled_teacher_learns_and_is_scored_from_its_folder(teacher, test_texts, tmp_path):
    score_files(teacher, [test_texts], [tmp_path / "logits.parquet"], 24)
    rows = read_texts(test_texts)
    loaded = load_classifier(str(teacher), NAMES)
    assert isinstance(loaded, PooledClassifier) and class_names(teacher) == NAMES
    assert load_file(teacher / HEAD_FILE)["weight"].shape == (3, 32)
    _, accuracy = finetune.held_out_scores(loaded, finetune.load_tokenizer(str(teacher)), rows, 24)
    assert accuracy > 0.9
    AutoModel.from_pretrained(teacher)  # the encoder is an ordinary transformers folder


def test_the_mean_is_over_the_tokens_of_the_text(encoder):
    model = load_classifier(str(encoder), NAMES, pooling="mean").eval()
    ids, mask = torch.tensor([[2, 7, 8, 3]]), torch.ones(1, 4, dtype=torch.long)
    padded = torch.cat([ids, torch.zeros(1, 3, dtype=torch.long)], 1)
    longer = torch.cat([mask, torch.zeros(1, 3, dtype=torch.long)], 1)
    with torch.no_grad():
        states = model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        assert torch.allclose(model.embed(ids, mask), states.mean(1), atol=1e-6)
        assert torch.allclose(model.embed(padded, longer), states.mean(1), atol=1e-5)
    assert not model.classifier.weight.any()  # a fresh head favours no class


def test_contrast_pulls_classes_together():
    labels = torch.tensor([0, 0, 1, 1])
    apart = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    mixed = apart[[0, 2, 1, 3]]
    # By hand, two unit vectors of one class and one of another: -log(e^(1/t) / (e^(1/t) + e^0)) for both anchors.
    alone = contrastive_loss(torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]]), torch.tensor([0, 0, 1]), 0.5)
    assert alone.item() == pytest.approx(np.log1p(np.exp(-2)), abs=1e-6)
    assert contrastive_loss(apart, labels) < 0.1 < 1 < contrastive_loss(mixed, labels)
    lonely = torch.randn(3, 4, requires_grad=True)
    loss = contrastive_loss(lonely, torch.tensor([0, 1, 2]))
    loss.backward()
    assert loss.item() == 0 and not lonely.grad.any()


def test_pairs_of_a_class_share_a_batch():
    labels = np.array([0] * 7 + [1] * 4 + [2] * 5)
    order = pair_by_class(labels, np.random.default_rng(0))
    assert sorted(order) == list(range(16))
    assert all(labels[order[i]] == labels[order[i + 1]] for i in range(0, 14, 2))
    assert not np.array_equal(order, pair_by_class(labels, np.random.default_rng(1)))


def test_members_are_averaged(encoder, train_texts, tmp_path, monkeypatch):
    members = []
    original = finetune.average_weights

    def watch(mean, model, count):
        members.append(finetune.copy_weights(model))
        return original(mean, model, count)

    monkeypatch.setattr(finetune, "average_weights", watch)
    finetune_teacher(train_texts, tmp_path / "three", quick(encoder, epochs=1, members=3))
    assert len(members) == 3
    saved = load_file(tmp_path / "three" / "model.safetensors")
    name = "encoder.layer.0.output.dense.weight"
    stacked = torch.stack([member[f"encoder.{name}"] for member in members])
    assert stacked.std(0).max() > 1e-4  # they differ
    assert torch.allclose(saved[name], stacked.mean(0), atol=1e-6)


def test_passes_are_limited_by_steps():
    assert max_epochs(400, Teacher(epochs=4, batch_size=16)) == 4
    assert max_epochs(1400, Teacher(epochs=4, batch_size=16, max_steps=200)) == 2
    assert max_epochs(100_000, Teacher(epochs=4, batch_size=16, max_steps=200)) == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pooling": "first"}, r"contrastive is 0\.5, which needs pooling: mean"),
        ({"members": 2, "refit": False}, "members is 2, which needs refit: true"),
    ],
)
def test_settings_that_do_not_fit_together(changed, message):
    with pytest.raises(ValueError, match=message):
        quick("minilm", **changed)


def test_a_damaged_head_is_named(teacher, tmp_path):
    copied = tmp_path / "teacher"
    copied.mkdir()
    for file in teacher.iterdir():
        (copied / file.name).write_bytes(file.read_bytes())
    (copied / HEAD_FILE).write_bytes(b"no tensors")
    for pooling in ("first", "mean"):  # never replaced by a fresh one without a word
        with pytest.raises(GendistError, match=r"classifier\.safetensors: damaged"):
            load_classifier(str(copied), NAMES, pooling=pooling)
    (copied / "gendist.json").unlink()  # a folder of somebody else's
    save_file({"weight": torch.zeros(2, 5), "bias": torch.zeros(2)}, copied / HEAD_FILE)
    with pytest.raises(GendistError, match=r"classifier\.safetensors: is not for 3 classes"):
        load_classifier(str(copied), NAMES)
    fresh = load_classifier(str(copied), NAMES, pooling="mean")  # trained on: that head is left behind
    assert not fresh.classifier.weight.any()


def test_two_pooled_runs_give_the_same_bytes(encoder, tmp_path):
    train = write_texts(tmp_path / "train.parquet", *sentences(12, 0))
    for name in ("one", "two"):
        finetune_teacher(train, tmp_path / name, quick(encoder, epochs=1, members=2))
    for file in ("model.safetensors", HEAD_FILE, "config.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
    assert json.loads((tmp_path / "one/history.json").read_text())["epochs"] == 1


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="needs oneDNN")
@pytest.mark.parametrize("kind", ["gpt2", "encoder"])
def test_packed_layers_compute_the_same(kind, request):
    folder = str(request.getfixturevalue(kind))
    model = (load_causal_lm(folder) if kind == "gpt2" else load_classifier(folder, NAMES)).eval()
    packed = pack_linear_layers(copy.deepcopy(model))
    assert any(isinstance(layer, PackedLinear) for layer in packed.modules())
    ids = torch.arange(3, 27).reshape(3, 8)
    with torch.no_grad():
        expected, got = model(input_ids=ids).logits, packed(input_ids=ids).logits
    assert got.dtype == torch.float32 and torch.allclose(got, expected, atol=1e-5)
