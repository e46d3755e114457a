"""Numba kernel for the attention of one decode step, over an int8 KV cache.

In float64, it returns the same integers as its PyTorch counterpart in ``int8_decoder.py``.
"""

import numpy as np

from gendist.nn.int8_kernels import row_scale, write_row
from gendist.nn.int8_products import INT8_MAX
from gendist.nn.numba_math import exp, njit_fastmath, njit_strict

CHUNK = 64
"""Positions that attention multiplies at once: a constant, so that LLVM vectorises the loop."""


@njit_fastmath
def _query_key_products(query: np.ndarray, keys: np.ndarray, sums: np.ndarray) -> None:
    """Multiply a query by ``CHUNK`` keys; sums of integers this small are exact in float32."""
    sums[:] = 0
    for i in range(query.shape[0]):
        for p in range(CHUNK):
            sums[p] += query[i] * np.float32(keys[i, p])


@njit_fastmath
def _weighted_sum(weights: np.ndarray, count: int, values: np.ndarray, output: np.ndarray) -> None:
    """Sum the first ``count`` int8 vectors with integer weights; these sums are exact, too."""
    output[:] = 0
    for p in range(count):
        for i in range(output.shape[0]):
            output[i] += weights[p] * np.float32(values[p, i])


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
        keys: KV cache, (slots, heads, head width, positions) int8; the number of positions is a multiple of ``CHUNK``.
        values: KV cache, (slots, heads, positions, head width) int8.
        cache_scales: of keys and of values, (2, slots, heads, positions).
        slots: batch slot of each row, (rows,).
        positions: position of each row's token, (rows,); later positions of a slot are masked.
        query_max: largest integer of a quantised query.
        weights_sum: sum of the integer attention weights of a row and head.
        codes: written: the attention output (rows, width).
        scales: of ``products``; written: of ``codes``.
        top: written, for ``codes``.
        largest: written, for ``codes``.
    """
    heads, size, max_positions = keys.shape[1:]
    width = heads * size
    qkv, output = np.empty(3 * width), np.empty(width)
    int_query = np.empty(size, np.float32)
    sums, weights = np.empty(max_positions, np.float32), np.empty(max_positions)
    mixed = np.empty(size, np.float32)
    for row in range(products.shape[0]):
        inputs, scale, slot, position = products[row], scales[row], slots[row], positions[row]
        for i in range(3 * width):
            qkv[i] = inputs[i] * scale + bias[i]
        for head in range(heads):
            begin = head * size
            query = qkv[begin : begin + size]
            key = qkv[width + begin : width + begin + size]
            value = qkv[2 * width + begin : 2 * width + begin + size]
            head_keys, new_value = keys[slot, head], values[slot, head, position]
            key_scales, value_scales = cache_scales[0, slot, head], cache_scales[1, slot, head]
            query_scale = row_scale(query, query_max)
            key_scales[position], value_scales[position] = row_scale(key, INT8_MAX), row_scale(value, INT8_MAX)
            per_query, per_key, per_value = 1 / query_scale, 1 / key_scales[position], 1 / value_scales[position]
            for i in range(size):
                int_query[i] = np.rint(query[i] * per_query)
            for i in range(size):
                head_keys[i, position] = np.int8(np.rint(key[i] * per_key))
            for i in range(size):
                new_value[i] = np.int8(np.rint(value[i] * per_value))
            for first in range(0, position + 1, CHUNK):
                _query_key_products(int_query, head_keys[:, first : first + CHUNK], sums[first : first + CHUNK])
            score_scale = query_scale * size**-0.5
            for p in range(position + 1):
                weights[p] = sums[p] * score_scale * key_scales[p]
            highest = weights[0]
            for p in range(position + 1):
                highest = max(highest, weights[p])
            for p in range(position + 1):
                weights[p] = exp(weights[p] - highest)
            total = 0.0
            for p in range(position + 1):
                total += weights[p]
            # The values' scales are folded into the weights, which are then rounded to integers.
            per_total, scaled_total = 1 / total, 0.0
            for p in range(position + 1):
                weights[p] = weights[p] * per_total * value_scales[p]
                scaled_total += weights[p]
            weight_scale = scaled_total / weights_sum
            per_weight = 1 / weight_scale
            for p in range(position + 1):
                sums[p] = np.rint(weights[p] * per_weight)
            _weighted_sum(sums, position + 1, values[slot, head], mixed)
            for i in range(size):
                output[begin + i] = mixed[i] * weight_scale
        scales[row] = write_row(output, codes[row], row, top, largest)
