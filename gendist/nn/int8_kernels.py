"""Numba kernels between the int8 linear layers of a transformer: quantisation, normalisation, GELU and attention.

In float64, each kernel returns the same integers as its PyTorch counterpart in ``int8_decoder.py``; the encoder uses
float32. Arguments that kernels share:

    products: output of a linear layer before its input scales and bias, (rows, outputs) float32
    bias: (outputs,)
    codes: quantised rows, (rows, width) uint8, zero point ``ZERO_POINT``
    scales: of the codes, (rows,)
    top, largest: index and value of each row's largest entry, (rows,), which has code 0; empty if it is quantised, too
"""

import numpy as np

from gendist.nn.int8_linear import (
    GELU_OFFSET,
    INT8_MAX,
    MIN_MAGNITUDE,
    MIN_SCALE_RATIO,
    UINT8_MAX,
    ZERO_POINT,
)
from gendist.nn.numba_math import exp, max_abs, njit_fastmath, njit_strict

# Loops run over 1-D views: LLVM does not vectorise loops over rows of a 2-D array.

GELU_SLOPE, GELU_CUBE = 1.5957691216057308, 0.044715
"""2 sqrt(2 / pi), and the coefficient of the cube, in GELU's tanh form (Hendrycks and Gimpel 2016)."""
CHUNK = 64
"""Positions that attention multiplies at once: a constant, so that LLVM vectorises the loop."""


@njit_strict
def _scale(values: np.ndarray, levels: int) -> float:
    """Return the quantisation scale that maps the largest entry to ``levels``."""
    real = values.dtype.type
    return max(max_abs(values), real(MIN_MAGNITUDE)) / real(levels)


@njit_strict
def write_codes(values: np.ndarray, codes: np.ndarray) -> float:
    """Quantise a vector to ``codes``; return their scale."""
    real, scale = values.dtype.type, _scale(values, INT8_MAX)
    inverse = real(1) / scale
    for i in range(values.shape[0]):
        codes[i] = np.uint8(np.int32(values[i] * inverse + real(ZERO_POINT + 0.5)))  # the conversion truncates
    return scale


@njit_strict
def _write_row(values: np.ndarray, codes: np.ndarray, row: int, top: np.ndarray, largest: np.ndarray) -> float:
    """Quantise row number ``row``, without its largest entry unless ``top`` is empty; return the scale."""
    if not top.shape[0]:
        return write_codes(values, codes)
    real, size, i = values.dtype.type, max_abs(values), 0
    while abs(values[i]) != size:
        i += 1
    top[row], largest[row], values[i] = i, values[i], 0
    scale = max(max(max_abs(values), size * real(MIN_SCALE_RATIO)), real(MIN_MAGNITUDE)) / real(INT8_MAX)
    inverse = real(1) / scale
    for j in range(values.shape[0]):
        codes[j] = np.uint8(np.int32(values[j] * inverse + real(ZERO_POINT + 0.5)))
    values[i] = largest[row]
    return scale


@njit_strict
def add_largest(
    products: np.ndarray,
    columns: np.ndarray,
    weight_scales: np.ndarray,
    scales: np.ndarray,
    top: np.ndarray,
    largest: np.ndarray,
) -> None:
    """Add the contribution of each row's largest input to products (rows, outputs).

    Args:
        products: changed in place.
        columns: int8 weights, (inputs, outputs).
        weight_scales: (outputs,).
        scales: of the inputs' codes.
        top: index of the largest input.
        largest: its value.
    """
    for row in range(products.shape[0]):
        output, column, factor = products[row], columns[top[row]], np.float32(largest[row] / scales[row])
        for i in range(output.shape[0]):
            output[i] += factor * (np.float32(column[i]) * weight_scales[i])


@njit_strict
def add_outliers(
    products: np.ndarray, inputs: np.ndarray, indices: np.ndarray, weights: np.ndarray, scales: np.ndarray
) -> None:
    """Add the contribution of each output's outlier weight to products (rows, outputs).

    Args:
        products: changed in place.
        inputs: floating-point inputs, (rows, inputs).
        indices: input that each outlier multiplies, (outputs,).
        weights: the outliers, (outputs,) float32.
        scales: of the inputs' codes.
    """
    for row in range(products.shape[0]):
        output, values, scale = products[row], inputs[row], scales[row]
        for i in range(output.shape[0]):
            output[i] += np.float32(values[indices[i]] / scale) * weights[i]


@njit_strict
def _sum(values: np.ndarray) -> float:
    """Return the sum of a vector, which is overwritten: adding quarters element-wise vectorises in strict mode."""
    count, total = values.shape[0], values.dtype.type(0)
    while count >= 16:
        part = count // 4
        for i in range(4 * part, count):
            total += values[i]
        for i in range(part):
            values[i] = (values[i] + values[part + i]) + (values[2 * part + i] + values[3 * part + i])
        count = part
    for i in range(count):
        total += values[i]
    return total


@njit_strict
def _layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float, output: np.ndarray) -> None:
    """Layer normalisation of a vector."""
    real = x.dtype.type
    width = real(x.shape[0])
    for i in range(x.shape[0]):
        output[i] = x[i]
    mean = _sum(output) / width
    for i in range(x.shape[0]):
        output[i] = (x[i] - mean) * (x[i] - mean)
    inverse_std = real(1) / np.sqrt(_sum(output) / width + real(eps))
    for i in range(x.shape[0]):
        output[i] = (x[i] - mean) * inverse_std * weight[i] + bias[i]


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
def quantize(x: np.ndarray, codes: np.ndarray, scales: np.ndarray, top: np.ndarray, largest: np.ndarray) -> None:
    """Quantise hidden states (rows, width)."""
    for row in range(x.shape[0]):
        scales[row] = _write_row(x[row], codes[row], row, top, largest)


@njit_strict
def normalize(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    eps: float,
    codes: np.ndarray,
    scales: np.ndarray,
    top: np.ndarray,
    largest: np.ndarray,
) -> None:
    """Quantise the layer normalisation of hidden states (rows, width), which stay as they are."""
    normal = np.empty(x.shape[1], x.dtype)
    for row in range(x.shape[0]):
        _layer_norm(x[row], weight, bias, eps, normal)
        scales[row] = _write_row(normal, codes[row], row, top, largest)


@njit_strict
def add_and_normalize(
    x: np.ndarray,
    products: np.ndarray,
    linear_bias: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    eps: float,
    replace: bool,
    codes: np.ndarray,
    scales: np.ndarray,
    top: np.ndarray,
    largest: np.ndarray,
) -> None:
    """Add a linear layer's output to hidden states (rows, width), normalise, and quantise.

    ``replace`` keeps the normalised states (BERT) instead of the sums (GPT-2).
    """
    normal = np.empty(x.shape[1], x.dtype)
    for row in range(x.shape[0]):
        state, added, scale = x[row], products[row], scales[row]
        for i in range(state.shape[0]):
            state[i] += added[i] * scale + linear_bias[i]
        _layer_norm(state, weight, bias, eps, normal)
        if replace:
            for i in range(state.shape[0]):
                state[i] = normal[i]
        scales[row] = _write_row(normal, codes[row], row, top, largest)


@njit_strict
def gelu(
    products: np.ndarray,
    bias: np.ndarray,
    output: np.ndarray,
    codes: np.ndarray,
    scales: np.ndarray,
    top: np.ndarray,
    largest: np.ndarray,
) -> None:
    """Write GELU of a linear layer's output to ``output`` (rows, width), and ``GELU_OFFSET`` plus that to ``codes``.

    The sums are never negative: code 0 is 0, code 255 the largest.
    """
    real = output.dtype.type
    slope, cube, one, offset = real(-GELU_SLOPE), real(GELU_CUBE), real(1), real(GELU_OFFSET)
    shifted = np.empty(products.shape[1], output.dtype)
    for row in range(products.shape[0]):
        inputs, scale, outputs, code = products[row], scales[row], output[row], codes[row]
        for i in range(inputs.shape[0]):
            x = inputs[i] * scale + bias[i]
            outputs[i] = x / (one + exp(slope * (x + cube * x * x * x)))
        for i in range(inputs.shape[0]):
            shifted[i] = outputs[i] + offset
        size = least = max_abs(shifted)
        if top.shape[0]:
            i = 0
            while shifted[i] != size:
                i += 1
            top[row], largest[row], shifted[i] = i, size, 0
            size = max_abs(shifted)
            least *= real(MIN_SCALE_RATIO)
        new_scale = max(max(size, least), real(MIN_MAGNITUDE)) / real(UINT8_MAX)
        inverse = one / new_scale
        for i in range(inputs.shape[0]):
            code[i] = np.uint8(np.int32(shifted[i] * inverse + real(0.5)))
        scales[row] = new_scale


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
            query_scale = _scale(query, query_max)
            key_scales[position], value_scales[position] = _scale(key, INT8_MAX), _scale(value, INT8_MAX)
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
        scales[row] = _write_row(output, codes[row], row, top, largest)
