"""Counting pairs and factorising them, against the plain way, on a few hundred pieces."""

import math

import numpy as np
import pytest
import torch

from tools.pocket import cooccurrence as pairs
from tools.pocket.cooccurrence import count_cooccurrences, factorise_pmi, positive_pmi, subsample_frequent

BOUNDARY, VOCABULARY = 0, 12


@pytest.fixture
def ids() -> np.ndarray:
    """Texts of one to nine pieces between boundaries, and two boundaries in a row; piece 11 never occurs."""
    rng = np.random.default_rng(0)
    texts = [rng.integers(1, VOCABULARY - 1, rng.integers(1, 10)) for _ in range(40)]
    return np.concatenate([np.r_[BOUNDARY, text, BOUNDARY] for text in texts]).astype(np.uint16)


@pytest.mark.parametrize("window", [1, 3, 20])
@pytest.mark.parametrize("chunk", [7, 1 << 23])
def test_pairs_are_those_of_each_text(ids: np.ndarray, window: int, chunk: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pairs, "CHUNK_PAIRS", chunk)
    expected = np.zeros((VOCABULARY, VOCABULARY))
    for text in "".join(map(chr, ids)).split(chr(BOUNDARY)):
        for i, left in enumerate(text):
            for distance, right in enumerate(text[i + 1 : i + 1 + window], 1):
                expected[ord(left), ord(right)] += (window + 1 - distance) / window
                expected[ord(right), ord(left)] += (window + 1 - distance) / window
    table = count_cooccurrences(ids, BOUNDARY, VOCABULARY, window)
    assert table.dtype == np.float32
    np.testing.assert_allclose(table, expected, rtol=1e-5)


def test_frequent_pieces_are_thinned_as_word2vec_does():
    rng = np.random.default_rng(0)
    stream = rng.choice([1, 2, 3, BOUNDARY], p=[0.9, 0.0495, 0.0005, 0.05], size=100_000).astype(np.uint16)
    thin = subsample_frequent(stream, BOUNDARY, threshold=1e-3)
    times, left = np.bincount(stream), np.bincount(thin)
    assert (left[[BOUNDARY, 3]] == times[[BOUNDARY, 3]]).all()
    for piece in (1, 2):
        share = times[piece] / times[1:].sum()
        expected = math.sqrt(1e-3 / share) + 1e-3 / share
        assert left[piece] / times[piece] == pytest.approx(expected, rel=0.1)
    assert np.array_equal(thin, subsample_frequent(stream, BOUNDARY, threshold=1e-3))
    assert not np.array_equal(thin, subsample_frequent(stream, BOUNDARY, threshold=1e-3, seed=1))


def test_mutual_information_is_its_formula(ids: np.ndarray):
    table = count_cooccurrences(ids, BOUNDARY, VOCABULARY, 3)
    found = positive_pmi(table, smoothing=0.75)
    times = table.sum(1, dtype=float)
    for i in range(VOCABULARY):
        for j in range(VOCABULARY):
            expected = 0.0
            if table[i, j]:
                context = times[j] ** 0.75 / (times**0.75).sum()
                expected = max(0.0, math.log(table[i, j] / times[i] / context))
            assert found[i, j].item() == pytest.approx(expected, abs=1e-5)


def test_factors_are_the_best_of_their_rank_and_the_same_on_any_number_of_threads():
    rng = np.random.default_rng(0)
    matrix = torch.from_numpy(rng.normal(size=(200, 6)) @ rng.normal(size=(6, 200)) + rng.normal(size=(200, 200)) / 9)
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        torch.manual_seed(threads)
        found.append(factorise_pmi(matrix.float(), 6))
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert found[0].tobytes() == found[1].tobytes()
    left, strength, _ = np.linalg.svd(matrix.numpy())
    # A singular vector's sign is free.
    np.testing.assert_allclose(np.abs(found[0]), np.abs(left[:, :6] * np.sqrt(strength[:6])), atol=2e-3)


def test_columns_past_the_number_of_pieces_are_zero():
    factors = factorise_pmi(torch.eye(9), 12)
    assert factors.shape == (9, 12) and not factors[:, 9:].any()
    np.testing.assert_allclose(factors @ factors.T, np.eye(9), atol=1e-5)


def test_pieces_in_one_place_are_neighbours():
    """Verbs follow animals, colours follow things; nothing stands beside its own kind."""
    kinds = np.arange(1, 41).reshape(4, 10)
    rng = np.random.default_rng(0)
    texts = [[BOUNDARY, rng.choice(kinds[k]), rng.choice(kinds[k + 1])] for k in rng.choice([0, 2], 20_000)]
    table = count_cooccurrences(np.concatenate(texts).astype(np.uint16), BOUNDARY, 41, window=1)
    vectors = factorise_pmi(positive_pmi(table), 4)[1:]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    nearest = np.argsort(-vectors @ vectors.T, axis=1)[:, :10]
    assert (nearest // 10 == np.arange(40)[:, None] // 10).all()
