"""Attention within whole texts, on a CPU: matrices multiplied in bf16 where the processor does, else in float32.

Dimensions: texts, heads, places (tokens that a text is filled up to), size (numbers of a head).
"""

import numpy as np
import torch

from gendist.nn import devices
from gendist.nn.numba_math import compiled, exp, narrowed, widened
from gendist.nn.int8_kernels import write_codes


class Attention:
    """Attention of some texts, whose tokens stand one after the other everywhere else."""

    def __init__(self, lengths: np.ndarray, places: int, heads: int, size: int) -> None:
        """Make room for texts of these lengths (texts,), which are filled up to ``places``."""
        texts = len(lengths)
        dtype = torch.bfloat16 if devices.cpu_has_bf16() else torch.float32
        self._joined = torch.zeros(3, texts * heads, places, size, dtype=dtype)  # of filler, nothing is ever written
        self._scores = torch.empty(texts * heads, places, places, dtype=dtype)
        self._read = torch.empty(texts * heads, places, size, dtype=dtype)
        self._room = [np.empty(shape, np.float32) for shape in ((places, places), places, places)]
        self._shape, self._lengths = (texts, heads, places, size), lengths
        self._tokens = np.nonzero(np.arange(places) < lengths[:, None])

    def __call__(self, products: np.ndarray, addend: np.ndarray, steps: np.ndarray, codes: np.ndarray) -> None:
        """Attend.

        Args:
            products: of queries, keys and values side by side, (tokens, 3 width).
            addend: their biases.
            steps: of ``products``; written: of ``codes``.
            codes: written: what was read (tokens, width).
        """
        query, key, value = self._joined
        _spread(products, addend, steps, *self._tokens, _bits(self._joined).reshape(3, *self._shape))
        torch.bmm(key, query.transpose(1, 2), out=self._scores)
        _weigh(_bits(self._scores), self._lengths, self._shape[3] ** -0.5, *self._room)
        torch.bmm(self._scores.transpose(1, 2), value, out=self._read)
        _gather(_bits(self._read).reshape(self._shape), *self._tokens, codes, steps)


def _bits(numbers: torch.Tensor) -> np.ndarray:
    """Return the same memory for NumPy, which has no bf16."""
    array: np.ndarray = (numbers.view(torch.uint16) if numbers.dtype == torch.bfloat16 else numbers).numpy()
    return array


@compiled
def _spread(
    products: np.ndarray,
    addend: np.ndarray,
    steps: np.ndarray,
    texts: np.ndarray,
    places: np.ndarray,
    joined: np.ndarray,
) -> None:
    """Write what a linear layer gives for tokens (tokens, 3 width) to (3, texts, heads, places, size)."""
    _, count, heads, length, size = joined.shape
    vectors, values = joined.reshape(-1, size), np.empty(products.shape[1], joined.dtype)
    for token in range(len(texts)):
        inputs, step = products[token], steps[token]
        for i in range(inputs.shape[0]):
            values[i] = narrowed(inputs[i] * step + addend[i], values)
        for part in range(3):
            first = (part * count + texts[token]) * heads * length + places[token]
            for head in range(heads):
                vector, begin = vectors[first + head * length], (part * heads + head) * size
                for i in range(size):
                    vector[i] = values[begin + i]


@compiled
def _weigh(
    scores: np.ndarray, lengths: np.ndarray, scale: float, shares: np.ndarray, highest: np.ndarray, total: np.ndarray
) -> None:
    """Turn scores (texts x heads, keys, queries) into shares of each query, in place; those of filler are zero.

    Loops run over queries, of which every one has sums of its own: only then are there vector instructions for it,
    and only if room for numbers of a head is given: shares (places, places), highest and total (places,).
    """
    factor, heads = np.float32(scale), scores.shape[0] // lengths.shape[0]
    for h in range(scores.shape[0]):
        length = lengths[h // heads]
        for q in range(total.shape[0]):
            highest[q], total[q] = np.float32(-np.inf), np.float32(0)
        for key in range(length):
            row, some = scores[h, key], shares[key]
            for q in range(some.shape[0]):
                some[q] = widened(row[q]) * factor
                highest[q] = some[q] if some[q] > highest[q] else highest[q]
        for key in range(length):
            some = shares[key]
            for q in range(some.shape[0]):
                some[q] = exp(some[q] - highest[q])
                total[q] += some[q]
        for q in range(total.shape[0]):
            total[q] = np.float32(1) / total[q]
        for key in range(length):
            row, some = scores[h, key], shares[key]
            for q in range(some.shape[0]):
                row[q] = narrowed(some[q] * total[q], row)
        for key in range(length, scores.shape[1]):
            row = scores[h, key]
            for q in range(row.shape[0]):
                row[q] = 0


@compiled
def _gather(read: np.ndarray, texts: np.ndarray, places: np.ndarray, codes: np.ndarray, steps: np.ndarray) -> None:
    """Round what was read, (texts, heads, places, size), to codes (tokens, width)."""
    heads, size = read.shape[1], read.shape[3]
    values = np.empty(heads * size, np.float32)
    for token in range(len(texts)):
        for head in range(heads):
            own = read[texts[token], head, places[token]]
            for i in range(size):
                values[head * size + i] = widened(own[i])
        steps[token] = write_codes(values, codes[token])
