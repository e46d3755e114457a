"""The fast way from texts to labels: words looked up in a table, and Kim's network as sums of table entries."""

import csv
import json
import sys
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from workflow_fixtures import ROOT

from gendist.config.student_settings import Student
from gendist.errors import GendistError
from gendist.nn.pocket.packaged_files import packaged_subwords
from gendist.predict import cached_tokenizer, classifier
from gendist.predict.bert_normalizer import CHARACTERS, bert_normalizer
from gendist.predict.cached_tokenizer import CachedTokenizer
from gendist.predict.classifier import TextClassifier
from gendist.predict.exported_model import ExportedModel
from gendist.predict.lookup_network import LookupNetwork, load_lookup_network
from gendist.predict.word_tokenizer import WordTokenizer, is_supported
from gendist.stages.export.lookup_weights import lookup_weights
from gendist.stages.students.architectures import build

POCKET = (packaged_subwords() / "tokenizer.json").read_text(encoding="utf-8")
DESCRIBED = json.loads(POCKET)
BERT = DESCRIBED["normalizer"]["normalizers"][0]
EXACT = Tokenizer.from_str(POCKET)
ENCODER = CachedTokenizer(POCKET)
PIECES = {"[UNK]": 0, "a": 1, "##b": 2, "ab": 3, "##ab": 4, "中": 5, "0": 6}
WORDPIECE = Tokenizer(models.WordPiece(PIECES, unk_token="[UNK]"))
WORDPIECE.normalizer, WORDPIECE.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
WORDPIECE.add_special_tokens(["[CLS]"])
PACKAGED_WORDPIECE = (packaged_subwords(name="wordpiece") / "tokenizer.json").read_text(encoding="utf-8")
TOKENIZERS = [
    (EXACT, ENCODER),
    (WORDPIECE, CachedTokenizer(WORDPIECE.to_str())),
    (Tokenizer.from_str(PACKAGED_WORDPIECE), CachedTokenizer(PACKAGED_WORDPIECE)),
]
MARKS = [*json.loads(CHARACTERS.read_text())["classes"], *"\u0301\u093f\u094d\u0e31\u0344\U0001d15e"]
PARTS = [
    *map(chr, range(128)),
    *"\xe9\xc5\xdf\u0130\u4e2d\u3000\xa0\u0301\u200b\u2028\ud55c\U0001f600",
    "[PAD]",
    "[UNK]",
    "[CLS]",
    *"     ",
]
TRICKY = st.lists(st.sampled_from(PARTS)).map("".join)
MARKED = st.lists(st.one_of(st.sampled_from(MARKS), st.characters(exclude_categories=["Cs"]))).map("".join)


def test_tokenizers_of_berts_kind_are_computed_without_the_library():
    assert all(is_supported(json.loads(library.to_str())) for library, _ in TOKENIZERS)


@settings(max_examples=1500, derandomize=True, deadline=None)
@given(st.one_of(TRICKY, st.text(), MARKED))
def test_ids_are_those_of_the_tokenizer(text: str):
    for library, encoder in TOKENIZERS:
        assert encoder.encode([text])[0].tolist() == library.encode(text, add_special_tokens=False).ids


def test_ids_of_real_rows_are_those_of_the_tokenizer():
    with (ROOT / "data/newsbriefs/test.csv").open(encoding="utf-8") as stream:
        texts = [row["text"] for row in csv.DictReader(stream)]
    assert len(texts) == 1500
    for library, encoder in TOKENIZERS:
        expected = [one.ids for one in library.encode_batch(texts, add_special_tokens=False)]
        assert [ids.tolist() for ids in encoder.encode(texts)] == expected


def test_every_character_is_normalised_and_split_as_by_the_library():
    normalise, split = EXACT.normalizer.normalize_str, EXACT.pre_tokenizer.pre_tokenize_str
    own = bert_normalizer()
    for code in (*range(0xD800), *range(0xE000, 0x110000)):
        text = f"a{chr(code)}b"
        expected = normalise(text)
        assert own.normalise(text).translate(str.maketrans("123456789", "0" * 9)) == expected, hex(code)
        if code < 0x3400 or 0xA000 <= code < 0xAC00 or 0xF000 <= code < 0x20000:
            assert own.split(text) == [word for word, _ in split(text)], hex(code)


def test_the_embedded_pieces_go_by_word_and_the_table_is_used():
    encoder = CachedTokenizer(POCKET)
    encoder.encode(["the wave, the tide"])
    assert sorted(encoder.cache) == ["the", "tide", "wave,"]


def test_a_full_table_starts_anew(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cached_tokenizer, "MAX_CACHED_WORDS", 3)
    encoder = CachedTokenizer(POCKET)
    texts = [f"the {number} waves of the sea {number}{number}" for number in range(20)]
    assert [ids.tolist() for ids in encoder.encode(texts)] == [
        EXACT.encode(text, add_special_tokens=False).ids for text in texts
    ]
    assert len(encoder.cache) < 10


@pytest.mark.parametrize(
    "change",
    [
        {"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}},
        {"pre_tokenizer": None},
        {"normalizer": None},
        {"normalizer": {"type": "Precompiled"}},
        {"normalizer": {**BERT, "lowercase": False}},
        {"normalizer": {**BERT, "strip_accents": False}},
        {"normalizer": {"type": "Sequence", "normalizers": [BERT, {"type": "Lowercase"}]}},
        {"truncation": {"max_length": 8}},
        {"model": {**DESCRIBED["model"], "dropout": 0.1}},
        {"model": {**DESCRIBED["model"], "type": "Unigram", "vocab": [["a", 0.0]]}},
        {"model": {**DESCRIBED["model"], "vocab": {"a": "0"}}},
        {"added_tokens": [{**DESCRIBED["added_tokens"][0], "lstrip": True}]},
        {"added_tokens": [{**DESCRIBED["added_tokens"][0], "normalized": True}]},
    ],
)
def test_tokenizers_of_another_kind_are_left_to_the_library(change: dict[str, object]):
    assert is_supported(DESCRIBED) and not is_supported({**DESCRIBED, **change})


def test_without_the_library_such_a_tokenizer_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    assert CachedTokenizer(POCKET).encode(["the sea"])[0].tolist() == ENCODER.encode(["the sea"])[0].tolist()
    with pytest.raises(GendistError, match="tokenizer needs the tokenizers library: pip install tokenizers"):
        CachedTokenizer(json.dumps({**DESCRIBED, "pre_tokenizer": None}))


def test_words_are_as_fast_as_with_the_library():
    words = [f"{a}{b}" for a in ("under", "sea", "counter") for b in map(str, range(700))]
    tokenizer = WordTokenizer(DESCRIBED)
    began = time.process_time()
    for word in words:
        tokenizer.encode(word)
    assert (time.process_time() - began) / len(words) < 2e-4  # about 2e-5


def test_time_does_not_grow_with_the_square_of_a_word_s_length():
    text = "ab" * 20_000  # a minute, if every merge looks at all pieces
    began = time.process_time()
    (found,) = CachedTokenizer(POCKET).encode([text])
    assert time.process_time() - began < 10
    assert found.tolist() == EXACT.encode(text, add_special_tokens=False).ids


def test_another_tokenizer_is_asked_for_whole_texts():
    other = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "a b": 2}, "[UNK]"))
    other.normalizer, other.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Split("|", "removed")
    assert [ids.tolist() for ids in CachedTokenizer(other.to_str()).encode(["A b|a", ""])] == [[2, 1], []]


# --- tables ---


@pytest.fixture(scope="module", params=[Student(filters=7), Student(init="general")], ids=["max", "max and mean"])
def network(request: pytest.FixtureRequest) -> torch.nn.Module:
    torch.manual_seed(0)
    network = build(0.3 * torch.randn(50, 12), request.param, 4).eval()
    for name, parameter in network.named_parameters():
        if name == "position_embedding":
            torch.nn.init.normal_(parameter)
    return network


@pytest.mark.parametrize("compiled", [False, True])
def test_sums_of_table_entries_are_the_network(network: torch.nn.Module, compiled: bool):
    content = lookup_weights(network)
    assert content is not None
    rng = np.random.default_rng(0)
    texts = [rng.integers(0, 50, length).astype(np.int32) for length in [1, 2, 3, 4, 5, 40, 128, 1, 7, 9, 11]]
    lookup = load_lookup_network(content, 4, compiled)
    found = lookup.logits(texts)
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
    alone = np.concatenate([lookup.logits([ids]) for ids in texts])
    np.testing.assert_allclose(alone, found, atol=1e-5)


@pytest.mark.parametrize("bias", [-5.0, 0.0, 5.0])
@pytest.mark.parametrize("positions", [None, -3.0, 0.0, 3.0])
def test_integer_sums_are_the_same_alone_together_and_compiled(bias: float, positions: float | None):
    torch.manual_seed(2)
    # A bias of the vectors makes most sums negative, or positive: a window of nothing must win against neither.
    weights = load(lookup_weights(build(bias + torch.randn(50, 12), Student(filters=7), 4)) or b"")
    starts = [0]
    if positions is not None:
        starts = [0, 2, 3, 80, 2**30]
        weights["positions.starts"] = np.array(starts, np.int32)
        weights["positions.embedding"] = positions + torch.randn(5, 12).numpy()
    by_numpy, compiled = LookupNetwork(weights), LookupNetwork(weights, compiled=True)
    rng = np.random.default_rng(0)
    lengths = [1, 700, 1, *rng.integers(1, 90, 60), 513, 512, 511, 2]
    texts = [rng.integers(0, 50, length).astype(np.int32) for length in lengths]
    texts += [texts[5]] * 40
    # The definition, written out: each window of each filter, in 64 bits.
    table = by_numpy.table.reshape(51, 5, 21).astype(np.int64)
    table[50] = 0
    filters = [weights[f"filters.{w}"] * weights[f"filters.{w}.scale"][:, None, None] for w in (3, 4, 5)]
    embedding = weights.get("positions.embedding", np.zeros((1, 12)))
    added = np.rint(embedding @ np.concatenate([f.sum(2) for f in filters]).T * by_numpy.sum_scale).astype(np.int64)
    assert np.abs(added).max() > 1000 or positions is None
    wanted = []
    for ids in texts:
        padded = np.concatenate([ids, [50] * 4])
        sums = sum(table[padded[p : p + len(ids)], p] for p in range(5))
        sums += added[np.searchsorted(starts, range(len(ids)), side="right") - 1]
        wanted.append(sums.max(0))
    np.testing.assert_array_equal(by_numpy.max_pool(texts), wanted)
    np.testing.assert_array_equal(compiled.max_pool(texts), wanted)
    np.testing.assert_array_equal(np.concatenate([by_numpy.max_pool([ids]) for ids in texts]), wanted)
    assert by_numpy.logits([]).shape == compiled.logits([]).shape == (0, 4)


def test_tables_keep_to_one_core():
    """A large product would have the threads of NumPy's BLAS run idle on all others for milliseconds."""
    lookup = load_lookup_network(lookup_weights(build(torch.randn(50, 12), Student(filters=100), 14)) or b"", 14)
    texts = [np.arange(5, dtype=np.int32)] * 1000
    began, used = time.perf_counter(), time.process_time()
    while time.perf_counter() - began < 0.5:
        lookup.logits(texts)
    assert time.process_time() - used < 1.2 * (time.perf_counter() - began)


@pytest.mark.parametrize("compiled", [False, True])
def test_labels_of_many_texts_are_those_of_each_alone(monkeypatch: pytest.MonkeyPatch, compiled: bool):
    torch.manual_seed(3)
    network = build(torch.randn(EXACT.get_vocab_size(), 8), Student(filters=5), 3).eval()
    model = ExportedModel(b"", lookup_weights(network), POCKET, ["a", "b", "c"], 1.0, 20, ["text"], " ")
    several = TextClassifier(model, compiled=compiled)
    texts = [
        "",
        "the sea",
        "  ",
        "qzxqv \U0001f600 \u0301",
        "море и 海 中国",
        "the wave " * 300,
        "\0 \n a",
        *["tide"] * 5,
    ]
    texts += [f"{word} of the {number}{word}" for number in range(9) for word in ("sea", "tide", "storm")]
    alone = np.concatenate([TextClassifier(model).logits([text]) for text in texts])
    monkeypatch.setattr(classifier, "CHUNK_TEXTS", 7)
    np.testing.assert_allclose(several.logits(texts), alone, atol=1e-5)
    assert several.logits([]).shape == (0, 3)
    for text, found in zip(texts, alone, strict=True):
        ids = EXACT.encode(text.strip(), add_special_tokens=False).ids[:20] or [0]
        with torch.no_grad():
            wanted = network(torch.tensor([ids]), torch.ones(1, len(ids)))[0].numpy()
        np.testing.assert_allclose(found, wanted, atol=0.02)  # for rounding to 8 bits
    assert np.ptp(alone, 0).min() > 0.3


@pytest.mark.parametrize("compiled", [False, True])
def test_a_piece_without_an_embedding_is_named(network: torch.nn.Module, compiled: bool):
    lookup = LookupNetwork(load(lookup_weights(network) or b""), compiled)
    lookup.logits([np.array([49], np.int32)])
    with pytest.raises(GendistError, match=r"it has 50 pieces, no piece 50"):
        lookup.logits([np.array([1], np.int32), np.array([3, 50], np.int32)])


def test_compiled_sums_need_numba_and_the_usual_windows(network: torch.nn.Module, monkeypatch: pytest.MonkeyPatch):
    weights = load(lookup_weights(network) or b"")
    narrow = {name: values for name, values in weights.items() if not name.startswith("filters.5")}
    start, count = 2 * len(weights["filters.3"]), len(weights["filters.5"])
    narrow["classifier"] = np.delete(weights["classifier"], range(start, start + count), 1)
    assert LookupNetwork(narrow).logits([np.arange(9, dtype=np.int32)]).shape == (1, 4)
    with pytest.raises(GendistError, match=r"supports filter widths \[3, 4, 5\], not \[3, 4\]"):
        LookupNetwork(narrow, compiled=True)
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(GendistError, match="pip install numba"):
        LookupNetwork(weights, compiled=True)


def test_extreme_weights_do_not_overflow():
    torch.manual_seed(1)
    network = build(100 * torch.randn(30, 8), Student(filters=5), 3).eval()
    content = lookup_weights(network)
    assert content is not None
    ids = np.tile(np.arange(30, dtype=np.int32), 4)
    with torch.no_grad():
        wanted = network(torch.from_numpy(ids)[None].long(), torch.ones(1, len(ids))).numpy()
    found = LookupNetwork(load(content)).logits([ids])
    np.testing.assert_allclose(found, wanted, atol=0.02 * np.abs(wanted).max())


def test_only_kim_has_tables():
    assert lookup_weights(build(torch.randn(30, 8), Student(architecture="res"), 3)) is None


def test_a_file_of_other_weights_is_named(network: torch.nn.Module):
    with pytest.raises(GendistError, match=r"look-up\.safetensors: cannot be used for this model"):
        load_lookup_network(save({"a": np.zeros(3)}), 3)
    with pytest.raises(GendistError, match=r"look-up\.safetensors: cannot be used for this model"):
        load_lookup_network(b"nothing", 3)
    content = lookup_weights(network)
    assert content is not None
    for name, value, reason in [
        ("positions.starts", np.array([0, 4, 4], np.int32), "expected increasing positions from 0"),
        ("positions.starts", np.array([0, 7], np.int32), "1 position embeddings, but 2 buckets"),
    ]:
        positions = {"positions.embedding": np.zeros((1, 12), np.float32), name: value}
        with pytest.raises(GendistError, match=reason):
            load_lookup_network(save(load(content) | positions), 4)
    fewer = load(content) | {"classifier": np.zeros((4, 20), np.float32)}
    with pytest.raises(GendistError, match="20 features of the classifier"):
        load_lookup_network(save(fewer), 4)
    with pytest.raises(GendistError, match=r"4 classes, expected 5"):
        load_lookup_network(content, 5)
