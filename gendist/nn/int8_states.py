"""Hidden states between the int8 linear layers of a transformer, with their quantised form, on a CPU."""

from typing import NamedTuple

import numpy as np
import torch

from gendist.nn import int8_kernels
from gendist.nn.int8_linear import Int8Linear
from gendist.nn.transformer_parts import Norm


class QuantizedActivations(NamedTuple):
    """GELU outputs, (rows, width)."""

    values: np.ndarray
    """Floating point."""
    codes: torch.Tensor
    """Unsigned bytes."""


class QuantizedStates:
    """Hidden states (rows, width) and the int8 codes that the next linear layer multiplies."""

    def __init__(self, states: torch.Tensor, *, separate_largest: bool = False) -> None:
        """Wrap hidden states, which are updated in place.

        Args:
            states: (rows, width) float64 or float32.
            separate_largest: multiply each row's largest entry in floating point instead of quantising it.
        """
        self.states = states.numpy()
        self.codes, self.scales = torch.empty(states.shape, dtype=torch.uint8), np.empty(len(states), self.states.dtype)
        rows = len(states) if separate_largest else 0
        self.top, self.largest = np.empty(rows, np.int64), np.empty(rows, self.states.dtype)

    @property
    def outputs(self) -> tuple[np.ndarray, ...]:
        """Arrays that kernels write: codes, scales, and index and value of the largest entries."""
        return self.codes.numpy(), self.scales, self.top, self.largest

    def quantize(self, norm: Norm | None) -> None:
        """Quantise the states, after a layer normalisation if one is given."""
        if norm is None:
            int8_kernels.quantize(self.states, *self.outputs)
        else:
            int8_kernels.normalize(self.states, *_arrays(norm), *self.outputs)

    def multiply(
        self, layer: Int8Linear, activations: QuantizedActivations | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return a linear layer's products, to be multiplied by ``scales``, and its bias.

        Args:
            layer: the linear layer.
            activations: its inputs; the quantised states by default.
        """
        products, bias = layer.multiply(self.codes if activations is None else activations.codes).numpy(), layer.bias
        if len(self.top):
            weights = layer.columns.numpy(), layer.weight_scale.numpy()
            int8_kernels.add_largest(products, *weights, self.scales, self.top, self.largest)
        if activations is not None and layer.outliers is not None:
            indices, outliers = (part.numpy() for part in layer.outliers)
            int8_kernels.add_outliers(products, activations.values, indices, outliers, self.scales)
        return products, np.zeros(products.shape[1], np.float32) if bias is None else bias.numpy()

    def logits(self, head: Int8Linear, bias: torch.Tensor | None) -> torch.Tensor:
        """Return the logits (rows, vocabulary) float32 of an output layer; needs ``separate_largest``."""
        products = head.multiply(self.codes)
        added = np.zeros(products.shape[1], np.float32) if bias is None else bias.numpy()
        weights = head.columns.numpy(), head.weight_scale.numpy()
        int8_kernels.finish_logits(products.numpy(), added, *weights, self.scales, self.top, self.largest)
        return products

    def add(
        self, layer: Int8Linear, norm: Norm, *, replace: bool, activations: QuantizedActivations | None = None
    ) -> None:
        """Add a linear layer's output to the states, normalise, and quantise.

        Args:
            layer: the linear layer.
            norm: the layer normalisation.
            replace: keep the normalised states (BERT) instead of the sums (GPT-2).
            activations: the linear layer's inputs; the quantised states by default.
        """
        products, bias = self.multiply(layer, activations)
        int8_kernels.add_and_normalize(self.states, products, bias, *_arrays(norm), replace, *self.outputs)

    def activate(self, layer: Int8Linear) -> QuantizedActivations:
        """Return GELU of a linear layer's output."""
        products, bias = self.multiply(layer)
        values, codes = np.empty(products.shape, self.states.dtype), torch.empty(products.shape, dtype=torch.uint8)
        int8_kernels.gelu(products, bias, values, codes.numpy(), self.scales, self.top, self.largest)
        return QuantizedActivations(values, codes)


def _arrays(norm: Norm) -> tuple[np.ndarray, np.ndarray, float]:
    return norm.weight.numpy(), norm.bias.numpy(), norm.eps
