"""Numba kernel for the attention of one decode step, over an int8 KV cache.

In float64, it returns the same integers as its PyTorch counterpart in ``int8_decoder.py``.
"""

import numpy as np

from gendist.nn.int8_kernels import row_scale, write_row
from gendist.nn.int8_products import INT8_MAX
from gendist.nn.numba_math import exp, njit_fastmath, njit_strict

CHUNK = 32
"""Positions that are stored and multiplied together: a constant, so that LLVM vectorises the loops."""
LANES = 8
"""Partial sums and maxima of a vector."""
GROUP = 4
"""Vectors that are multiplied per pass, which saves loads and stores of the sums."""


@njit_fastmath
def _query_key_products(query: np.ndarray, keys: np.ndarray, sums: np.ndarray) -> None:
    """Multiply a query (head width,) by a chunk of keys (head width, ``CHUNK``).

    Sums of integers this small are exact in float32.
    """
    sums[:] = 0
    whole = query.shape[0] // GROUP * GROUP
    for i in range(0, whole, GROUP):
        query0, query1, query2, query3 = query[i], query[i + 1], query[i + 2], query[i + 3]
        keys0, keys1, keys2, keys3 = keys[i], keys[i + 1], keys[i + 2], keys[i + 3]
        for p in range(CHUNK):
            sums[p] += (query0 * np.float32(keys0[p]) + query1 * np.float32(keys1[p])) + (
                query2 * np.float32(keys2[p]) + query3 * np.float32(keys3[p])
            )
    for i in range(whole, query.shape[0]):
        for p in range(CHUNK):
            sums[p] += query[i] * np.float32(keys[i, p])


@njit_fastmath
def _add_weighted(weights: np.ndarray, values: np.ndarray, output: np.ndarray) -> None:
    """Add int8 vectors (a multiple of ``GROUP``, head width) with integer weights; these sums are exact, too."""
    for p in range(0, weights.shape[0], GROUP):
        weight0, weight1, weight2, weight3 = weights[p], weights[p + 1], weights[p + 2], weights[p + 3]
        value0, value1, value2, value3 = values[p], values[p + 1], values[p + 2], values[p + 3]
        for i in range(output.shape[0]):
            output[i] += (weight0 * np.float32(value0[i]) + weight1 * np.float32(value1[i])) + (
                weight2 * np.float32(value2[i]) + weight3 * np.float32(value3[i])
            )


@njit_strict
def _quantize(values: np.ndarray, levels: int, integers: np.ndarray) -> float:
    """Round a vector to integers up to ``levels``; return their scale."""
    scale = row_scale(values, levels)
    inverse = 1 / scale
    for i in range(values.shape[0]):
        integers[i] = integers.dtype.type(np.rint(values[i] * inverse))
    return scale


@njit_strict
def _maximum(values: np.ndarray, lanes: np.ndarray) -> float:
    """Return the maximum of a vector whose length is a multiple of ``LANES``."""
    for i in range(LANES):
        lanes[i] = values[i]
    for first in range(LANES, values.shape[0], LANES):
        part = values[first : first + LANES]
        for i in range(LANES):
            lanes[i] = part[i] if part[i] > lanes[i] else lanes[i]
    highest = lanes[0]
    for i in range(1, LANES):
        highest = max(highest, lanes[i])
    return highest


@njit_strict
def _sum(values: np.ndarray, lanes: np.ndarray) -> float:
    """Return the sum of a vector whose length is a multiple of ``LANES``."""
    lanes[:] = 0
    for first in range(0, values.shape[0], LANES):
        part = values[first : first + LANES]
        for i in range(LANES):
            lanes[i] += part[i]
    return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]))


@njit_strict
def _integer_weights(
    scores: np.ndarray, count: int, value_scales: np.ndarray, weights_sum: int, weights: np.ndarray, lanes: np.ndarray
) -> float:
    """Write the integer attention weights of a row and head; return their scale.

    The values' scales are folded into the weights, which are then rounded to integers.

    Args:
        scores: of the positions, overwritten; its length is a multiple of ``LANES``.
        count: number of positions that are not masked; the weights of the others are 0.
        value_scales: scales of the values.
        weights_sum: sum of the integer weights.
        weights: written, float32.
        lanes: work space, (``LANES``,) float64.
    """
    scores[count:] = -np.inf
    highest = _maximum(scores, lanes)
    for p in range(scores.shape[0]):
        scores[p] = exp(scores[p] - highest)
    scores[count:] = 0
    per_total = 1 / _sum(scores, lanes)
    for p in range(scores.shape[0]):
        scores[p] = scores[p] * per_total * value_scales[p]
    scale = _sum(scores, lanes) / weights_sum
    per_weight = 1 / scale
    for p in range(scores.shape[0]):
        weights[p] = np.rint(scores[p] * per_weight)
    return scale


@njit_strict
def attend(
    products: np.ndarray,
    bias: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    cache_scales: np.ndarray,
    slots: np.ndarray,
    positions: np.ndarray,
    query_max: int,
    weights_sum: int,
    codes: np.ndarray,
    scales: np.ndarray,
    top: np.ndarray,
    largest: np.ndarray,
) -> None:
    """Causal attention of one token per row; its key and value are written to the KV cache first.

    Args:
        products: queries, keys and values concatenated, (rows, 3 width).
        bias: their biases, (3 width,).
        keys: KV cache, (slots, chunks, heads, head width, ``CHUNK``) int8.
        values: KV cache, (slots, chunks, heads, ``CHUNK``, head width) int8.
        cache_scales: of keys and of values, (slots, chunks, 2, heads, ``CHUNK``).
        slots: batch slot of each row, (rows,).
        positions: position of each row's token, (rows,); later positions of a slot are masked.
        query_max: largest integer of a quantised query.
        weights_sum: sum of the integer attention weights of a row and head.
        codes: written: the attention output (rows, width).
        scales: of ``products``; written: of ``codes``.
        top: written, for ``codes``.
        largest: written, for ``codes``.
    """
    max_chunks, heads, _, size = values.shape[1:]
    width, max_positions = heads * size, max_chunks * CHUNK
    qkv, output, lanes = np.empty(3 * width), np.empty(width), np.empty(LANES)
    int_queries, query_scales = np.empty((heads, size), np.float32), np.empty(heads)
    new_key, products_of_chunk = np.empty(size, np.int8), np.empty(CHUNK, np.float32)
    scores, value_scales = np.empty((heads, max_positions)), np.empty((heads, max_positions))
    weights, weight_scales = np.empty((heads, max_positions), np.float32), np.empty(heads)
    sums = np.empty(width, np.float32)
    for row in range(products.shape[0]):
        inputs, scale, slot, position = products[row], scales[row], slots[row], positions[row]
        last_chunk, last = position // CHUNK, position % CHUNK
        for i in range(3 * width):
            qkv[i] = inputs[i] * scale + bias[i]
        for head in range(heads):
            begin = head * size
            query = qkv[begin : begin + size]
            key = qkv[width + begin : width + begin + size]
            value = qkv[2 * width + begin : 2 * width + begin + size]
            query_scales[head] = _quantize(query, query_max, int_queries[head])
            new_scales = cache_scales[slot, last_chunk]
            new_scales[0, head, last] = _quantize(key, INT8_MAX, new_key)
            new_scales[1, head, last] = _quantize(value, INT8_MAX, values[slot, last_chunk, head, last])
            head_keys = keys[slot, last_chunk, head]
            for i in range(size):
                head_keys[i, last] = new_key[i]
        for chunk in range(last_chunk + 1):
            for head in range(heads):
                _query_key_products(int_queries[head], keys[slot, chunk, head], products_of_chunk)
                score_scale = query_scales[head] * size**-0.5
                key_scales, chunk_scales = cache_scales[slot, chunk, 0, head], cache_scales[slot, chunk, 1, head]
                head_scores = scores[head, chunk * CHUNK : (chunk + 1) * CHUNK]
                head_scales = value_scales[head, chunk * CHUNK : (chunk + 1) * CHUNK]
                for p in range(CHUNK):
                    head_scores[p] = products_of_chunk[p] * score_scale * key_scales[p]
                    head_scales[p] = chunk_scales[p]
        padded = position // LANES * LANES + LANES
        for head in range(heads):
            weight_scales[head] = _integer_weights(
                scores[head, :padded], position + 1, value_scales[head], weights_sum, weights[head], lanes
            )
        sums[:] = 0
        for chunk in range(last_chunk + 1):
            first = chunk * CHUNK
            count = min(CHUNK, padded - first)
            for head in range(heads):
                _add_weighted(
                    weights[head, first : first + count],
                    values[slot, chunk, head],
                    sums[head * size : (head + 1) * size],
                )
        for head in range(heads):
            for i in range(head * size, (head + 1) * size):
                output[i] = sums[i] * weight_scales[head]
        scales[row] = write_row(output, codes[row], row, top, largest)
