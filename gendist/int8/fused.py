"""The decoder on a CPU: what is between the linear layers is compiled."""

from typing import Any

import numpy as np
import torch

from gendist.int8 import kernels
from gendist.int8.decoder import WEIGHTS, Decoder, Norm
from gendist.int8.linear import IntegerLinear


class BytesCache:
    """What the rows of a batch have been read as so far, in bytes."""

    def __init__(self, layers: int, rows: int, heads: int, places: int, width: int) -> None:
        """Make room for ``places`` tokens of each row."""
        places = -(-places // kernels.CHUNK) * kernels.CHUNK
        # A key's places lie side by side, as do a value's numbers: both are what is multiplied at once.
        self.keys = [np.zeros((rows, heads, width, places), np.int8) for _ in range(layers)]
        self.values = [np.zeros((rows, heads, places, width), np.int8) for _ in range(layers)]
        self.worth = [np.zeros((2, rows, heads, places)) for _ in range(layers)]

    def select(self, rows: torch.Tensor) -> None:
        """Keep some of the rows."""
        kept = rows.numpy()
        self.keys, self.values = ([part[kept] for part in parts] for parts in (self.keys, self.values))
        self.worth = [part[:, kept] for part in self.worth]


class Rounded:
    """States of some rows (rows, width), and the bytes that the next linear layer takes."""

    def __init__(self, states: torch.Tensor) -> None:
        """Take float64 states, which are changed in place."""
        self.states = states.numpy()
        self.codes, self.steps = torch.empty(states.shape, dtype=torch.uint8), np.empty(len(states))

    def round(self, norm: Norm | None) -> None:
        """Round the states, normalised or as they are."""
        if norm is None:
            kernels.quantize(self.states, self.codes.numpy(), self.steps)
        else:
            kernels.normalize(self.states, *_numbers(norm), self.codes.numpy(), self.steps)

    def attend(self, layer: IntegerLinear, past: tuple[np.ndarray, ...], place: int, query_levels: int) -> None:
        """Put what attention reads in the bytes' place."""
        products, bias = _times(self.codes, layer)
        kernels.attend(products, bias, *past, place, query_levels, WEIGHTS, self.codes.numpy(), self.steps)

    def add(self, layer: IntegerLinear, codes: torch.Tensor, norm: Norm, replace: bool) -> None:
        """Add what a layer makes of bytes to the states, and round the normalised sums; they may replace the states."""
        products, bias = _times(codes, layer)
        kernels.add_and_normalize(self.states, products, bias, *_numbers(norm), replace, self.codes.numpy(), self.steps)

    def activate(self, layer: IntegerLinear) -> tuple[np.ndarray, torch.Tensor]:
        """Return GELU of what a layer makes of the bytes (rows, outputs), and its own bytes."""
        products, bias = _times(self.codes, layer)
        output, codes = np.empty(products.shape), torch.empty(products.shape, dtype=torch.uint8)
        kernels.gelu(products, bias, output, codes.numpy(), self.steps)
        return output, codes


class FusedDecoder(Decoder):
    """The numbers of ``Decoder``, with a fraction of its passes over memory."""

    def empty_cache(self, rows: int, places: int) -> BytesCache:
        """Return a cache for this many rows and tokens."""
        return BytesCache(len(self.layers), rows, self.heads, places, self.width)

    def step(self, tokens: torch.Tensor, place: int, cache: Any) -> torch.Tensor:
        """Read one more token of each row, (rows,), at ``place``; return the last layer's states (rows, width)."""
        states = self.words[tokens].double() + self.places[place]
        if self.first_norm is not None:
            states = self.first_norm(states)
        x = Rounded(states)
        x.round(self.layers[0].attention_norm if self.norm_first else None)
        following = [*(layer.attention_norm for layer in self.layers[1:]), self.head_norm]
        for layer, next_norm, *past in zip(self.layers, following, cache.keys, cache.values, cache.worth, strict=True):
            norms = (layer.feed_norm, next_norm) if self.norm_first else (layer.attention_norm, layer.feed_norm)
            x.attend(layer.attention_in, tuple(past), place, self.query_levels)
            x.add(layer.attention_out, x.codes, norms[0], not self.norm_first)
            x.add(layer.down, x.activate(layer.up)[1], norms[1], not self.norm_first)
        return states

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Map states (rows, width) to logits (rows, vocabulary), float32."""
        x = Rounded(states)
        if self.transform is not None:
            x.round(None)
            x = Rounded(torch.from_numpy(x.activate(self.transform)[0]))
        x.round(self.head_norm)
        products = self.head.multiply(x.codes)
        products.mul_(torch.from_numpy(x.steps).float()[:, None])
        return products if self.head_bias is None else products.add_(self.head_bias)


def _times(codes: torch.Tensor, layer: IntegerLinear) -> tuple[np.ndarray, np.ndarray]:
    """Return what a layer makes of bytes, but for their step and its bias, and the bias."""
    products, bias = layer.multiply(codes), layer.bias
    return products.numpy(), np.zeros(products.shape[1]) if bias is None else bias.numpy()


def _numbers(norm: Norm) -> tuple[np.ndarray, np.ndarray, float]:
    return norm.weight.numpy(), norm.bias.numpy(), norm.eps


def decoder_for(model: Any) -> Decoder:
    """Return the decoder for where a model is."""
    return FusedDecoder(model) if model.device.type == "cpu" else Decoder(model)
