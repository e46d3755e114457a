"""Vectors from counted pairs: positive pointwise mutual information, and the best low rank of it.

Skip-gram (Mikolov et al. 2013) knows a corpus only by how often each pair of pieces stands within a window, and
factorises their mutual information implicitly (Levy and Goldberg 2014). Ten thousand pieces make those counts a dense
table of 400 MB: the corpus is read once and factorised outright. That takes minutes where passes over the text take
an hour, gives the same numbers on every run, and makes students that are as good (docs/tuning.md).
"""

import numpy as np
import torch
from torch.nn import functional

CHUNK_PAIRS = 1 << 23
"""Pairs that are counted at once: 32 MB of codes."""
OVERSAMPLING, POWER_ITERATIONS = 40, 4
"""Further columns and power iterations, by which the random start is forgotten."""


def subsample_frequent(ids: np.ndarray, boundary: int, threshold: float = 1e-4, seed: int = 0) -> np.ndarray:
    """Leave out frequent pieces at random, so that windows reach past them: word2vec's ``sample``.

    Args:
        ids: pieces of all texts, one after the other.
        boundary: the id that stands between texts; every one is kept.
        threshold: pieces rarer than this share of the corpus all stay.
        seed: of the draws.
    """
    times = np.bincount(ids)
    times[boundary] = 0
    share = np.maximum(times, 1) / max(times.sum(), 1)
    kept = np.sqrt(threshold / share) + threshold / share
    kept[boundary] = 1.0
    draws = np.random.default_rng(seed).random(len(ids), dtype=np.float32)
    return ids[draws < kept.astype(np.float32)[ids]]


def count_cooccurrences(ids: np.ndarray, boundary: int, vocabulary: int, window: int) -> np.ndarray:
    """Count how often two pieces stand up to ``window`` apart in one text.

    Neighbours count 1, the farthest pair 1 / ``window``: what word2vec's windows of random width come to.

    Args:
        ids: pieces of all texts, one after the other, uint16.
        boundary: the id that stands between texts.
        vocabulary: rows of the table.
        window: pieces of context on either side.

    Returns:
        A symmetric float32 table (vocabulary, vocabulary).
    """
    text = np.cumsum(ids == boundary, dtype=np.int32)
    ids, text = ids[ids != boundary], text[ids != boundary]
    table = np.zeros(vocabulary * vocabulary, dtype=np.float32)
    for distance in range(1, window + 1):
        weight = np.float32((window + 1 - distance) / window)
        for start in range(0, len(ids) - distance, CHUNK_PAIRS):
            left = slice(start, min(start + CHUNK_PAIRS, len(ids) - distance))
            right = slice(left.start + distance, left.stop + distance)
            within = text[left] == text[right]
            codes = ids[left][within].astype(np.uint32) * np.uint32(vocabulary) + ids[right][within]
            pairs, times = np.unique(codes, return_counts=True)
            table[pairs] += weight * times.astype(np.float32)
    square = table.reshape(vocabulary, vocabulary)
    return square + square.T


def positive_pmi(table: np.ndarray, smoothing: float = 0.75) -> torch.Tensor:
    """Return log(p(i, j) / p(i) p'(j)) where that is positive, and 0 elsewhere: (vocabulary, vocabulary).

    Args:
        table: counts of pairs, symmetric.
        smoothing: exponent of the contexts' frequencies, p'; below 1 it takes from rare contexts their undue
            weight (Levy et al. 2015, "context distribution smoothing").
    """
    counts = torch.from_numpy(table)
    times = counts.sum(1)
    contexts = times**smoothing
    information = counts.log().sub_(times.log()[:, None]).sub_((contexts / contexts.sum()).log())
    # A piece that never occurs makes a difference of two infinities.
    return information.nan_to_num_(0.0).clamp_(min=0.0)


def factorise_pmi(matrix: torch.Tensor, size: int, seed: int = 0) -> np.ndarray:
    """Return the first ``size`` left singular vectors, each times the root of its strength: float32 (rows, size).

    The root suits vectors that say what is alike better than the whole strength does (Levy et al. 2015). The method
    is Halko et al.'s (2011), on one thread: the order of sums, so their last bits, follows from the number of threads.
    Columns past the number of rows are zero.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            left, strength, _ = torch.svd_lowrank(matrix, min(size + OVERSAMPLING, len(matrix)), niter=POWER_ITERATIONS)
    finally:
        torch.set_num_threads(threads)
    factors = left[:, :size] * strength[:size].sqrt()
    return functional.pad(factors, (0, size - factors.shape[1])).numpy()
