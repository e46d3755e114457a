"""The decoder on a CPU: what is between the linear layers is compiled."""

from collections.abc import Collection
from typing import Any

import numpy as np
import torch

from gendist.nn import int8_kernels
from gendist.nn.int8_decoder import WEIGHTS, Decoder
from gendist.nn.int8_states import Rounded


class BytesCache:
    """What the rows in some slots have been read as so far, in bytes."""

    def __init__(self, layers: int, slots: int, heads: int, places: int, width: int) -> None:
        """Make room for ``places`` tokens in each slot."""
        places = -(-places // int8_kernels.CHUNK) * int8_kernels.CHUNK
        # A key's places lie side by side, as do a value's numbers: both are what is multiplied at once.
        self.keys = [np.zeros((slots, heads, width, places), np.int8) for _ in range(layers)]
        self.values = [np.zeros((slots, heads, places, width), np.int8) for _ in range(layers)]
        self.worth = [np.zeros((2, slots, heads, places)) for _ in range(layers)]


class FusedDecoder(Decoder):
    """The numbers of ``Decoder``, with a fraction of its passes over memory."""

    def empty_cache(self, slots: int, places: int) -> BytesCache:
        """Return a cache for this many slots and tokens in each."""
        return BytesCache(len(self.layers), slots, self.heads, places, self.width)

    def step(
        self, tokens: torch.Tensor, places: torch.Tensor, cache: Any, slots: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Read one more token of some rows, as ``Decoder.step``; rows in other slots cost nothing."""
        states = self.words[tokens].double() + self.places[places]
        if self.first_norm is not None:
            states = self.first_norm(states)
        x = Rounded(states, apart=True)
        x.round(self.layers[0].attention_norm if self.norm_first else None)
        where = (torch.arange(len(tokens)) if slots is None else slots).numpy(), places.numpy()
        following = [*(layer.attention_norm for layer in self.layers[1:]), self.head_norm]
        for layer, next_norm, *past in zip(self.layers, following, cache.keys, cache.values, cache.worth, strict=True):
            norms = (layer.feed_norm, next_norm) if self.norm_first else (layer.attention_norm, layer.feed_norm)
            levels = self.query_levels, WEIGHTS
            int8_kernels.attend(*x.times(layer.attention_in), *past, *where, *levels, *x.written)
            x.add(layer.attention_out, norms[0], replace=not self.norm_first)
            x.add(layer.down, norms[1], replace=not self.norm_first, activations=x.activate(layer.up))
        return states

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Map states (rows, width) to logits (rows, vocabulary), float32."""
        x = Rounded(states, apart=True)
        if self.transform is not None:
            x.round(None)
            x = Rounded(torch.from_numpy(x.activate(self.transform).values), apart=True)
        x.round(self.head_norm)
        products = torch.from_numpy(x.times(self.head)[0])
        products.mul_(torch.from_numpy(x.steps).float()[:, None])
        return products if self.head_bias is None else products.add_(self.head_bias)


def decoder_for(model: Any, two_pass: Collection[str] = ()) -> Decoder:
    """Return the decoder for where a model is; one with layers of two passes is not compiled."""
    if model.device.type == "cpu" and not two_pass:
        return FusedDecoder(model)
    return Decoder(model, two_pass)
