"""Bidirectional attention over whole texts on a CPU, in bf16 where the CPU has it, else in float32.

Dimensions: texts, heads, positions (tokens of the longest text), size (width of a head).
"""

import numpy as np
import torch

from gendist.nn import devices
from gendist.nn.int8_kernels import write_codes
from gendist.nn.numba_math import as_float32, cast_like, exp, njit_strict


class EncoderAttention:
    """Attention of a batch of texts; its inputs and outputs are the tokens of all texts, concatenated."""

    def __init__(self, lengths: np.ndarray, positions: int, heads: int, size: int) -> None:
        """Allocate buffers for texts of these lengths (texts,), padded to ``positions``."""
        texts = len(lengths)
        dtype = torch.bfloat16 if devices.cpu_has_bf16() else torch.float32
        self._qkv = torch.zeros(3, texts * heads, positions, size, dtype=dtype)  # padding stays 0
        self._weights = torch.empty(texts * heads, positions, positions, dtype=dtype)
        self._output = torch.empty(texts * heads, positions, size, dtype=dtype)
        self._buffers = [np.empty(shape, np.float32) for shape in ((positions, positions), positions, positions)]
        self._shape, self._lengths = (texts, heads, positions, size), lengths
        self._token_indices = np.nonzero(np.arange(positions) < lengths[:, None])

    def __call__(self, products: np.ndarray, bias: np.ndarray, scales: np.ndarray, codes: np.ndarray) -> None:
        """Compute the attention output and quantise it.

        Args:
            products: queries, keys and values concatenated, before scales and bias, (tokens, 3 width).
            bias: their biases, (3 width,).
            scales: of ``products``, (tokens,); written: of ``codes``.
            codes: written: the attention output, (tokens, width) uint8.
        """
        query, key, value = self._qkv
        qkv = _numpy_view(self._qkv).reshape(3, *self._shape)
        _split_heads(products, bias, scales, *self._token_indices, qkv)
        torch.bmm(key, query.transpose(1, 2), out=self._weights)
        _softmax(_numpy_view(self._weights), self._lengths, self._shape[3] ** -0.5, *self._buffers)
        torch.bmm(self._weights.transpose(1, 2), value, out=self._output)
        _merge_heads(_numpy_view(self._output).reshape(self._shape), *self._token_indices, codes, scales)


def _numpy_view(tensor: torch.Tensor) -> np.ndarray:
    """Return a NumPy view of a float32 or bf16 tensor; bf16 is viewed as uint16."""
    array: np.ndarray = (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array


@njit_strict
def _split_heads(
    products: np.ndarray,
    bias: np.ndarray,
    scales: np.ndarray,
    texts: np.ndarray,
    positions: np.ndarray,
    qkv: np.ndarray,
) -> None:
    """Write a linear layer's output (tokens, 3 width) to ``qkv`` (3, texts, heads, positions, size)."""
    _, count, heads, length, size = qkv.shape
    vectors, values = qkv.reshape(-1, size), np.empty(products.shape[1], qkv.dtype)
    for token in range(len(texts)):
        inputs, scale = products[token], scales[token]
        for i in range(inputs.shape[0]):
            values[i] = cast_like(inputs[i] * scale + bias[i], values)
        for part in range(3):
            first = (part * count + texts[token]) * heads * length + positions[token]
            for head in range(heads):
                vector, begin = vectors[first + head * length], (part * heads + head) * size
                for i in range(size):
                    vector[i] = values[begin + i]


@njit_strict
def _softmax(
    scores: np.ndarray, lengths: np.ndarray, scale: float, weights: np.ndarray, highest: np.ndarray, total: np.ndarray
) -> None:
    """Replace scores (texts x heads, keys, queries) by their softmax over keys, in place; padding keys get 0.

    Inner loops run over queries, each with its own sums: this vectorises without reordering any sum. It also needs
    buffers for one head: weights (positions, positions), highest and total (positions,).
    """
    factor, heads = np.float32(scale), scores.shape[0] // lengths.shape[0]
    for h in range(scores.shape[0]):
        length = lengths[h // heads]
        for q in range(total.shape[0]):
            highest[q], total[q] = np.float32(-np.inf), np.float32(0)
        for key in range(length):
            row, buffer = scores[h, key], weights[key]
            for q in range(buffer.shape[0]):
                buffer[q] = as_float32(row[q]) * factor
                highest[q] = buffer[q] if buffer[q] > highest[q] else highest[q]
        for key in range(length):
            buffer = weights[key]
            for q in range(buffer.shape[0]):
                buffer[q] = exp(buffer[q] - highest[q])
                total[q] += buffer[q]
        for q in range(total.shape[0]):
            total[q] = np.float32(1) / total[q]
        for key in range(length):
            row, buffer = scores[h, key], weights[key]
            for q in range(buffer.shape[0]):
                row[q] = cast_like(buffer[q] * total[q], row)
        for key in range(length, scores.shape[1]):
            row = scores[h, key]
            for q in range(row.shape[0]):
                row[q] = 0


@njit_strict
def _merge_heads(
    output: np.ndarray, texts: np.ndarray, positions: np.ndarray, codes: np.ndarray, scales: np.ndarray
) -> None:
    """Quantise the attention output (texts, heads, positions, size) to codes (tokens, width)."""
    heads, size = output.shape[1], output.shape[3]
    values = np.empty(heads * size, np.float32)
    for token in range(len(texts)):
        for head in range(heads):
            vector = output[texts[token], head, positions[token]]
            for i in range(size):
                values[head * size + i] = as_float32(vector[i])
        scales[token] = write_codes(values, codes[token])
