"""The fast way from texts to labels: words looked up in a table, and Kim's network as sums of table entries."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from gendist.errors import GendistError
from gendist.export.look_up import look_up_weights
from gendist.pocket.packaged import packaged_subwords
from gendist.predict import words
from gendist.predict.lookup import LookUp, read_look_up
from gendist.predict.words import Encoder, goes_by_word
from gendist.students.architectures import build
from gendist.students.settings import Student

POCKET = (packaged_subwords() / "tokenizer.json").read_text(encoding="utf-8")
EXACT = Tokenizer.from_str(POCKET)
ENCODER = Encoder(POCKET)
PARTS = [*map(chr, range(128)), *"éÅßİ中　\u00a0\u0301\u200b\u2028\U0001f600", "[PAD]", "[UNK]", *"     "]
TRICKY = st.lists(st.sampled_from(PARTS)).map("".join)


@settings(max_examples=500, derandomize=True, deadline=None)
@given(st.one_of(TRICKY, st.text()))
def test_ids_are_those_of_the_tokenizer(text: str):
    assert ENCODER.encode([text])[0].tolist() == EXACT.encode(text, add_special_tokens=False).ids


def test_the_embedded_pieces_go_by_word_and_the_table_is_used():
    encoder = Encoder(POCKET)
    encoder.encode(["the wave, the tide"])
    assert sorted(encoder._known) == ["the", "tide", "wave,"]


def test_a_full_table_starts_anew(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(words, "REMEMBERED", 3)
    encoder = Encoder(POCKET)
    texts = [f"the {number} waves of the sea {number}{number}" for number in range(20)]
    assert [ids.tolist() for ids in encoder.encode(texts)] == [
        EXACT.encode(text, add_special_tokens=False).ids for text in texts
    ]
    assert len(encoder._known) < 10


@pytest.mark.parametrize(
    "change",
    [
        {"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}},
        {"pre_tokenizer": None},
        {"normalizer": {"type": "Precompiled"}},
        {"normalizer": {"type": "Replace", "pattern": {"Regex": "a b"}, "content": "c"}},
        {"truncation": {"max_length": 8}},
    ],
)
def test_tokenizers_that_look_across_spaces_are_not_cut_there(change: dict[str, object]):
    described = json.loads(POCKET)
    assert goes_by_word(described)
    assert not goes_by_word({**described, **change})


def test_another_tokenizer_is_asked_for_whole_texts():
    other = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "a b": 2}, "[UNK]"))
    other.normalizer, other.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Split("|", "removed")
    assert [ids.tolist() for ids in Encoder(other.to_str()).encode(["A b|a", ""])] == [[2, 1], []]


# --- tables ---


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return build(0.3 * torch.randn(50, 12), Student(filters=7), 4).eval()


def test_sums_of_table_entries_are_the_network(network: torch.nn.Module):
    content = look_up_weights(network)
    assert content is not None
    rng = np.random.default_rng(0)
    texts = [rng.integers(0, 50, length).astype(np.int32) for length in [1, 2, 3, 4, 5, 40, 128, 1, 7, 9, 11]]
    found = read_look_up(content, 4).logits(texts)
    # The same network with the weights as they were rounded: the tables add less than a thousandth to that.
    weights = load(content)
    with torch.no_grad():
        rounded = {"embedding.weight": weights["embedding"] * weights["embedding.scale"][:, None]}
        for place, width in enumerate((3, 4, 5)):
            scale = weights[f"filters.{width}.scale"][:, None, None]
            rounded[f"convolutions.{place}.weight"] = weights[f"filters.{width}"] * scale
        network.load_state_dict(network.state_dict() | {name: torch.from_numpy(v) for name, v in rounded.items()})
        wanted = [network(torch.from_numpy(ids)[None].long(), torch.ones(1, len(ids)))[0].numpy() for ids in texts]
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    assert np.ptp(found, 0).min() > 0.1  # rows that all come out alike would pass for anything
    alone = np.concatenate([read_look_up(content, 4).logits([ids]) for ids in texts])
    np.testing.assert_allclose(alone, found, atol=1e-5)


def test_extreme_weights_do_not_overflow():
    torch.manual_seed(1)
    network = build(100 * torch.randn(30, 8), Student(filters=5), 3).eval()
    content = look_up_weights(network)
    assert content is not None
    ids = np.tile(np.arange(30, dtype=np.int32), 4)
    with torch.no_grad():
        wanted = network(torch.from_numpy(ids)[None].long(), torch.ones(1, len(ids))).numpy()
    found = LookUp(load(content)).logits([ids])
    np.testing.assert_allclose(found, wanted, atol=0.02 * np.abs(wanted).max())


def test_only_kim_has_tables():
    assert look_up_weights(build(torch.randn(30, 8), Student(architecture="res"), 3)) is None


def test_a_file_of_other_weights_is_named(network: torch.nn.Module):
    with pytest.raises(GendistError, match=r"look-up\.safetensors: cannot be used for this model"):
        read_look_up(save({"a": np.zeros(3)}), 3)
    with pytest.raises(GendistError, match=r"look-up\.safetensors: cannot be used for this model"):
        read_look_up(b"nothing", 3)
    content = look_up_weights(network)
    assert content is not None
    with pytest.raises(GendistError, match=r"4 classes in place of 5"):
        read_look_up(content, 5)
