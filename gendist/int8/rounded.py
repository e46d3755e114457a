"""States of a transformer between linear layers in integers, on a CPU."""

import numpy as np
import torch

from gendist.int8 import kernels
from gendist.int8.decoder import Norm
from gendist.int8.linear import IntegerLinear


class Rounded:
    """States of some rows (rows, width), and the bytes that the next linear layer takes."""

    def __init__(self, states: torch.Tensor) -> None:
        """Take states, float64 or float32, which are changed in place."""
        self.states = states.numpy()
        self.codes, self.steps = torch.empty(states.shape, dtype=torch.uint8), np.empty(len(states), self.states.dtype)

    def round(self, norm: Norm | None) -> None:
        """Round the states, normalised or as they are."""
        if norm is None:
            kernels.quantize(self.states, self.codes.numpy(), self.steps)
        else:
            kernels.normalize(self.states, *_numbers(norm), self.codes.numpy(), self.steps)

    def add(self, layer: IntegerLinear, codes: torch.Tensor, norm: Norm, replace: bool) -> None:
        """Add what a layer makes of bytes to the states, and round the normalised sums; they may replace the states."""
        products, bias = times(codes, layer)
        kernels.add_and_normalize(self.states, products, bias, *_numbers(norm), replace, self.codes.numpy(), self.steps)

    def activate(self, layer: IntegerLinear) -> tuple[np.ndarray, torch.Tensor]:
        """Return GELU of what a layer makes of the bytes (rows, outputs), and its own bytes."""
        products, bias = times(self.codes, layer)
        output, codes = np.empty(products.shape, self.states.dtype), torch.empty(products.shape, dtype=torch.uint8)
        kernels.gelu(products, bias, output, codes.numpy(), self.steps)
        return output, codes


def times(codes: torch.Tensor, layer: IntegerLinear) -> tuple[np.ndarray, np.ndarray]:
    """Return what a layer makes of bytes, but for their step and its bias, and the bias."""
    products, bias = layer.multiply(codes), layer.bias
    return products.numpy(), np.zeros(products.shape[1], np.float32) if bias is None else bias.numpy()


def _numbers(norm: Norm) -> tuple[np.ndarray, np.ndarray, float]:
    return norm.weight.numpy(), norm.bias.numpy(), norm.eps
