"""States of a transformer between linear layers in integers, on a CPU."""

from typing import NamedTuple

import numpy as np
import torch

from gendist.nn import int8_kernels
from gendist.nn.int8_linear import IntegerLinear
from gendist.nn.transformer_parts import Norm


class Activations(NamedTuple):
    """What GELU returns, (rows, width)."""

    values: np.ndarray
    """In floating point."""
    codes: torch.Tensor
    """Rounded to bytes."""


class Rounded:
    """States of some rows (rows, width), and the bytes that the next linear layer takes."""

    def __init__(self, states: torch.Tensor, apart: bool = False) -> None:
        """Take states, float64 or float32, which are changed in place.

        With ``apart``, each row's largest number is left out of the bytes, to be multiplied in floating point.
        """
        self.states = states.numpy()
        self.codes, self.steps = torch.empty(states.shape, dtype=torch.uint8), np.empty(len(states), self.states.dtype)
        rows = len(states) if apart else 0
        self.top, self.largest = np.empty(rows, np.int64), np.empty(rows, self.states.dtype)

    @property
    def written(self) -> tuple[np.ndarray, ...]:
        """What a kernel writes: codes, their scales, and where and what the largest numbers are."""
        return self.codes.numpy(), self.steps, self.top, self.largest

    def round(self, norm: Norm | None) -> None:
        """Round the states, normalised or as they are."""
        if norm is None:
            int8_kernels.quantize(self.states, *self.written)
        else:
            int8_kernels.normalize(self.states, *_numbers(norm), *self.written)

    def times(self, layer: IntegerLinear, activations: Activations | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return what a layer makes of the bytes, but for their step and its bias, and the bias."""
        products, bias = layer.multiply(self.codes if activations is None else activations.codes).numpy(), layer.bias
        if len(self.top):
            weights = layer.columns.numpy(), layer.step.numpy()
            int8_kernels.add_largest(products, *weights, self.steps, self.top, self.largest)
        if activations is not None and layer.outliers is not None:
            inputs, weights = (part.numpy() for part in layer.outliers)
            int8_kernels.add_outliers(products, activations.values, inputs, weights, self.steps)
        return products, np.zeros(products.shape[1], np.float32) if bias is None else bias.numpy()

    def add(self, layer: IntegerLinear, norm: Norm, *, replace: bool, activations: Activations | None = None) -> None:
        """Add what a layer makes of bytes to the states, and round the normalised sums; they may replace the states."""
        products, bias = self.times(layer, activations)
        int8_kernels.add_and_normalize(self.states, products, bias, *_numbers(norm), replace, *self.written)

    def activate(self, layer: IntegerLinear) -> Activations:
        """Return GELU of what a layer makes of the bytes."""
        products, bias = self.times(layer)
        values, codes = np.empty(products.shape, self.states.dtype), torch.empty(products.shape, dtype=torch.uint8)
        int8_kernels.gelu(products, bias, values, codes.numpy(), self.steps, self.top, self.largest)
        return Activations(values, codes)


def _numbers(norm: Norm) -> tuple[np.ndarray, np.ndarray, float]:
    return norm.weight.numpy(), norm.bias.numpy(), norm.eps
