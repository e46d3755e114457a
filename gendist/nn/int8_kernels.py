"""Numba kernels between the int8 linear layers of a transformer: quantisation, normalisation and GELU.

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
from gendist.nn.numba_math import exp, max_abs, njit_strict

# Loops run over 1-D views: LLVM does not vectorise loops over rows of a 2-D array.

GELU_SLOPE, GELU_CUBE = 1.5957691216057308, 0.044715
"""2 sqrt(2 / pi), and the coefficient of the cube, in GELU's tanh form (Hendrycks and Gimpel 2016)."""


@njit_strict
def row_scale(values: np.ndarray, levels: int) -> float:
    """Return the quantisation scale that maps the largest entry to ``levels``."""
    real = values.dtype.type
    return max(max_abs(values), real(MIN_MAGNITUDE)) / real(levels)


@njit_strict
def write_codes(values: np.ndarray, codes: np.ndarray) -> float:
    """Quantise a vector to ``codes``; return their scale."""
    real, scale = values.dtype.type, row_scale(values, INT8_MAX)
    inverse = real(1) / scale
    for i in range(values.shape[0]):
        codes[i] = np.uint8(np.int32(values[i] * inverse + real(ZERO_POINT + 0.5)))  # the conversion truncates
    return scale


@njit_strict
def write_row(values: np.ndarray, codes: np.ndarray, row: int, top: np.ndarray, largest: np.ndarray) -> float:
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
def finish_logits(
    products: np.ndarray,
    bias: np.ndarray,
    columns: np.ndarray,
    weight_scales: np.ndarray,
    scales: np.ndarray,
    top: np.ndarray,
    largest: np.ndarray,
) -> None:
    """Turn products (rows, vocabulary) into logits, in one pass over memory: ``add_largest``, scales, bias."""
    for row in range(products.shape[0]):
        output, column, factor = products[row], columns[top[row]], np.float32(largest[row] / scales[row])
        scale = np.float32(scales[row])
        for i in range(output.shape[0]):
            output[i] = (output[i] + factor * (np.float32(column[i]) * weight_scales[i])) * scale + bias[i]


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


@njit_strict
def quantize(x: np.ndarray, codes: np.ndarray, scales: np.ndarray, top: np.ndarray, largest: np.ndarray) -> None:
    """Quantise hidden states (rows, width)."""
    for row in range(x.shape[0]):
        scales[row] = write_row(x[row], codes[row], row, top, largest)


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
        scales[row] = write_row(normal, codes[row], row, top, largest)


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
        scales[row] = write_row(normal, codes[row], row, top, largest)


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
            value = x / (one + exp(slope * (x + cube * x * x * x)))
            outputs[i] = value
            shifted[i] = value + offset
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
