"""Exact products of int8 weights and quantised inputs on a CPU, by the instructions that the processor has.

All three kinds return the same numbers: sums of integers, rounded to float32 once, times the weights' scales.
"""

import functools
from typing import Protocol

import numpy as np
import torch

from gendist.nn.numba_math import njit_strict

PACKING_ROWS = 32
"""Batch size that the packed layout is tuned for; any other works."""
MAX_EXACT_INT = 2**24
"""Largest integer up to which float32 sums of integers are exact in any order."""
INT8_MAX, UINT8_MAX = 127, 255
"""Largest quantised weight, and largest code of an input."""
PAIR_MAX = 128
"""Two weights of one sign up to this sum cannot saturate: 255 * 128 < 2**15."""
GROUP = 4
"""Inputs that one int8 instruction sums up, and entries of a sparse matrix that are multiplied at once."""
BLOCK_ROWS, BLOCK_OUTPUTS = 32, 64
"""Rows and outputs whose corrections are computed at once, in the processor's first cache."""


class Int8Products(Protocol):
    """Multiplies the weights of one layer."""

    def __call__(self, codes: torch.Tensor, zero_point: int) -> torch.Tensor:
        """Return the products (rows, outputs) float32, weight scales applied.

        Args:
            codes: quantised inputs, unsigned bytes, (rows, inputs).
            zero_point: code of 0.
        """


def create_int8_products(weights: torch.Tensor, scales: torch.Tensor, max_input: int) -> Int8Products:
    """Return the fastest products for the processor.

    Args:
        weights: integers of at most ``INT8_MAX``, (outputs, inputs), in any dtype.
        scales: of the weights, (outputs,) float32.
        max_input: largest absolute difference of a code and its zero point.
    """
    exact = int(weights.abs().sum(1).max()) * max_input <= MAX_EXACT_INT
    if weights.device.type == "cpu":
        if has_vnni():
            return PackedProducts(weights, scales)
        if exact and weights.shape[1] % GROUP == 0 and has_saturating_int8():
            return PairedProducts(weights, scales)
    return FloatProducts(weights, scales, max_input, chunked=not exact or weights.device.type != "cpu")


class PackedProducts:
    """Instructions that sum up in 32 bits (VNNI)."""

    def __init__(self, weights: torch.Tensor, scales: torch.Tensor) -> None:
        """Pack the weights."""
        weights = weights.to(torch.int8).contiguous()
        self.packed = torch.ops.onednn.qlinear_prepack(weights, [PACKING_ROWS, weights.shape[1]])
        self.scales, self.zero_points = scales, torch.zeros(len(weights), dtype=torch.int32)

    def __call__(self, codes: torch.Tensor, zero_point: int) -> torch.Tensor:
        """Multiply; see ``Int8Products``."""
        products: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
            *(codes, 1.0, zero_point, self.packed, self.scales, self.zero_points, None),
            *(1.0, 0, torch.float32, "none", [], ""),
        )
        return products


class PairedProducts:
    """Older instructions (AVX2), which add the products of two neighbouring inputs in 16 bits, and saturate.

    Pairs of weights that might saturate, 2 % of those of a transformer, are limited to ``PAIR_MAX``; what is cut off is
    multiplied apart, as a sparse matrix.
    """

    def __init__(self, weights: torch.Tensor, scales: torch.Tensor) -> None:
        """Split and pack the weights."""
        dense, excess = split_pairs(weights.to(torch.int16))
        self.excess = _padded_csr(excess)
        self.dense = PackedProducts(dense, torch.ones(len(weights)))
        self.scales = scales.numpy()

    def __call__(self, codes: torch.Tensor, zero_point: int) -> torch.Tensor:
        """Multiply; see ``Int8Products``."""
        products = self.dense(codes, zero_point)
        _add_excess(products.numpy(), codes.numpy(), zero_point, *self.excess, self.scales)
        return products


class FloatProducts:
    """Products in float32, for any device: in chunks of inputs whose sums are exact, or whole if all sums are."""

    def __init__(self, weights: torch.Tensor, scales: torch.Tensor, max_input: int, *, chunked: bool) -> None:
        """Convert the weights."""
        self.weights, self.scales = weights.float().t().contiguous(), scales
        self.chunk = MAX_EXACT_INT // (INT8_MAX * max_input) if chunked else weights.shape[1]

    def __call__(self, codes: torch.Tensor, zero_point: int) -> torch.Tensor:
        """Multiply; see ``Int8Products``."""
        inputs = codes.float() - zero_point
        if inputs.shape[1] <= self.chunk:
            return (inputs @ self.weights).mul_(self.scales)
        parts = inputs.split(self.chunk, 1), self.weights.split(self.chunk, 0)
        total = torch.stack([(left @ right).double() for left, right in zip(*parts, strict=True)]).sum(0)
        return total.float() * self.scales


def split_pairs(weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Split integer weights into a part whose pairs cannot saturate, and the rest.

    Args:
        weights: (outputs, inputs); the number of inputs is even.

    Returns:
        Two matrices of the same shape that add up to ``weights``.
    """
    pairs = weights.unflatten(1, (-1, 2))
    # Products of different signs cancel, so only the sums of each sign count.
    excess = torch.maximum(pairs.clamp(min=0).sum(-1), -pairs.clamp(max=0).sum(-1)) - PAIR_MAX
    larger = pairs.abs().argmax(-1, keepdim=True)
    cut = torch.zeros_like(pairs).scatter_(-1, larger, excess.clamp_(min=0)[..., None].to(pairs.dtype))
    rest = (cut * pairs.sign()).flatten(1)
    return weights - rest, rest


def _padded_csr(matrix: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return starts, column indices and values of a sparse matrix, each row padded with zeros to whole groups."""
    counts = (matrix != 0).sum(1)
    padded = (counts + GROUP - 1) // GROUP * GROUP
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), padded.cumsum(0)])
    rows, columns = torch.nonzero(matrix, as_tuple=True)
    places = starts[rows] + torch.arange(len(rows)) - (counts.cumsum(0) - counts)[rows]
    indices, values = torch.zeros(int(starts[-1]), dtype=torch.int32), torch.zeros(int(starts[-1]))
    indices[places], values[places] = columns.int(), matrix[rows, columns].float()
    return starts.numpy(), indices.numpy(), values.numpy()


@functools.cache
def has_vnni() -> bool:
    """Return whether the CPU sums up int8 products in 32 bits (VNNI); older instructions saturate at 16."""
    return bool(torch.backends.mkldnn.is_available() and torch.cpu._is_vnni_supported())


@functools.cache
def has_saturating_int8() -> bool:
    """Return whether packed int8 products are exact for limited pairs on this CPU: tried with the largest ones."""
    if not torch.backends.mkldnn.is_available():
        return False
    for outputs, inputs, rows in ((48, 64, 33), (16, 1028, 5)):
        weights = torch.full((outputs, inputs), INT8_MAX)
        weights[1::2] *= -1
        weights[::3, ::2] *= -1
        codes = torch.full((rows, inputs), UINT8_MAX, dtype=torch.uint8)
        codes[::2, 1::3] = 0
        dense, _ = split_pairs(weights)
        exact = (codes.double() - 1) @ dense.double().t()
        if not torch.equal(PackedProducts(dense, torch.ones(outputs))(codes, 1).double(), exact):
            return False
    return True


@njit_strict
def _add_excess(
    products: np.ndarray,
    codes: np.ndarray,
    zero_point: int,
    starts: np.ndarray,
    indices: np.ndarray,
    values: np.ndarray,
    scales: np.ndarray,
) -> None:
    """Add the products of a sparse matrix, as ``_padded_csr`` returns it, to products (rows, outputs), and scale them.

    The inner loops have a constant number of iterations, so that LLVM vectorises them; all sums are exact.
    """
    rows, outputs = products.shape
    inputs = np.zeros((codes.shape[1], BLOCK_ROWS), np.float32)
    sums = np.zeros((BLOCK_OUTPUTS, BLOCK_ROWS), np.float32)
    for first in range(0, rows, BLOCK_ROWS):
        count = min(BLOCK_ROWS, rows - first)
        for row in range(count):
            code = codes[first + row]
            for i in range(code.shape[0]):
                inputs[i, row] = np.float32(np.int32(code[i]) - np.int32(zero_point))
        for begin in range(0, outputs, BLOCK_OUTPUTS):
            end = min(begin + BLOCK_OUTPUTS, outputs)
            for output in range(begin, end):
                total = sums[output - begin]
                for row in range(BLOCK_ROWS):
                    total[row] = 0
                for i in range(starts[output], starts[output + 1], GROUP):
                    input0, input1 = inputs[indices[i]], inputs[indices[i + 1]]
                    input2, input3 = inputs[indices[i + 2]], inputs[indices[i + 3]]
                    weight0, weight1, weight2, weight3 = values[i], values[i + 1], values[i + 2], values[i + 3]
                    for row in range(BLOCK_ROWS):
                        total[row] += (weight0 * input0[row] + weight1 * input1[row]) + (
                            weight2 * input2[row] + weight3 * input3[row]
                        )
            for row in range(count):
                product = products[first + row]
                for output in range(begin, end):
                    product[output] = (product[output] + sums[output - begin, row]) * scales[output]
