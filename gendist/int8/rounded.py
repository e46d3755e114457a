"""States of a transformer between linear layers in integers, on a CPU."""

import numpy as np
import torch

from gendist.int8 import kernels
from gendist.int8.linear import IntegerLinear
from gendist.network_parts import Norm


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
            kernels.quantize(self.states, *self.written)
        else:
            kernels.normalize(self.states, *_numbers(norm), *self.written)

    def times(self, layer: IntegerLinear, codes: torch.Tensor | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return what a layer makes of the bytes, but for their step and its bias, and the bias."""
        products, bias = layer.multiply(self.codes if codes is None else codes).numpy(), layer.bias
        if len(self.top):
            weights = layer.columns.numpy(), layer.step.numpy()
            kernels.add_largest(products, *weights, self.steps, self.top, self.largest)
        return products, np.zeros(products.shape[1], np.float32) if bias is None else bias.numpy()

    def add(self, layer: IntegerLinear, norm: Norm, *, replace: bool, codes: torch.Tensor | None = None) -> None:
        """Add what a layer makes of bytes to the states, and round the normalised sums; they may replace the states."""
        products, bias = self.times(layer, codes)
        kernels.add_and_normalize(self.states, products, bias, *_numbers(norm), replace, *self.written)

    def activate(self, layer: IntegerLinear) -> tuple[np.ndarray, torch.Tensor]:
        """Return GELU of what a layer makes of the bytes (rows, outputs), and its own bytes."""
        products, bias = self.times(layer)
        output, codes = np.empty(products.shape, self.states.dtype), torch.empty(products.shape, dtype=torch.uint8)
        kernels.gelu(products, bias, output, codes.numpy(), self.steps, self.top, self.largest)
        return output, codes


def _numbers(norm: Norm) -> tuple[np.ndarray, np.ndarray, float]:
    return norm.weight.numpy(), norm.bias.numpy(), norm.eps
