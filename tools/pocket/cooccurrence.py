"""Embeddings from co-occurrence counts: truncated SVD of the positive pointwise mutual information (PPMI).

Skip-gram (Mikolov et al. 2013) factorises the mutual information implicitly (Levy and Goldberg 2014). With ten thousand
pieces the counts are a dense table of 400 MB, so this module factorises it directly. That takes minutes instead of an
hour, is deterministic, and gives equally good students.
"""

import numpy as np
import torch
from torch.nn import functional

CHUNK_PAIRS = 1 << 23
"""Pairs counted per chunk: 32 MB of codes."""
OVERSAMPLING, POWER_ITERATIONS = 40, 4
"""Extra columns and power iterations of the randomised SVD."""


def subsample_frequent(ids: np.ndarray, boundary: int, threshold: float = 1e-4, seed: int = 0) -> np.ndarray:
    """Randomly drop frequent pieces, as the ``sample`` option of word2vec.

    Args:
        ids: concatenated pieces of all texts.
        boundary: separator id; never dropped.
        threshold: pieces with a lower relative frequency are never dropped.
        seed: random seed.
    """
    counts = np.bincount(ids)
    counts[boundary] = 0
    frequency = np.maximum(counts, 1) / max(counts.sum(), 1)
    keep_probability = np.sqrt(threshold / frequency) + threshold / frequency
    keep_probability[boundary] = 1.0
    draws = np.random.default_rng(seed).random(len(ids), dtype=np.float32)
    return ids[draws < keep_probability.astype(np.float32)[ids]]


def count_cooccurrences(ids: np.ndarray, boundary: int, vocabulary: int, window: int) -> np.ndarray:
    """Count pairs of pieces up to ``window`` positions apart within a text.

    Weights fall linearly from 1 for neighbours to 1 / ``window``: the expectation of word2vec's random windows.

    Args:
        ids: concatenated pieces of all texts, uint16.
        boundary: separator id.
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
            pairs, pair_counts = np.unique(codes, return_counts=True)
            table[pairs] += weight * pair_counts.astype(np.float32)
    square = table.reshape(vocabulary, vocabulary)
    return square + square.T


def positive_pmi(table: np.ndarray, smoothing: float = 0.75) -> torch.Tensor:
    """Return max(0, log(p(i, j) / p(i) p'(j))), float32 (vocabulary, vocabulary).

    Args:
        table: symmetric co-occurrence counts.
        smoothing: exponent of the context frequencies p' (Levy et al. 2015, "context distribution smoothing").
    """
    counts = torch.from_numpy(table)
    totals = counts.sum(1)
    contexts = totals**smoothing
    information = counts.log().sub_(totals.log()[:, None]).sub_((contexts / contexts.sum()).log())
    # Pieces without occurrences give NaN.
    return information.nan_to_num_(0.0).clamp_(min=0.0)


def factorise_pmi(matrix: torch.Tensor, size: int, seed: int = 0) -> np.ndarray:
    """Return the first ``size`` left singular vectors times the root of their singular values, float32 (rows, size).

    The root gives better word similarities than the full singular values (Levy et al. 2015). Uses the randomised SVD
    of Halko et al. (2011) on one thread, because the number of threads changes the last bits. Columns beyond the rank
    are zero.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            left, singular_values, _ = torch.svd_lowrank(
                matrix, min(size + OVERSAMPLING, len(matrix)), niter=POWER_ITERATIONS
            )
    finally:
        torch.set_num_threads(threads)
    factors = left[:, :size] * singular_values[:size].sqrt()
    return functional.pad(factors, (0, size - factors.shape[1])).numpy()
