"""The int8 decoder on a CPU, with Numba kernels between its linear layers."""

from typing import Any

import numpy as np
import torch

from gendist.nn.int8_decode_attention import CHUNK, attend
from gendist.nn.int8_decoder import WEIGHTS_SUM, Int8Decoder
from gendist.nn.int8_options import NEAREST, Int8Options
from gendist.nn.int8_states import QuantizedStates


class ChunkedInt8KVCache:
    """Int8 KV cache in the kernels' memory layout."""

    def __init__(self, *, layers: int, slots: int, heads: int, positions: int, head_width: int) -> None:
        """Allocate ``positions`` positions in each slot, rounded up to a multiple of ``CHUNK``."""
        chunks = -(-positions // CHUNK)
        # Contiguous in the dimension that a vector instruction spans: positions for keys, head width for values.
        # A chunk of all heads is contiguous, so that a row reads memory in order.
        self.keys = np.zeros((layers, slots, chunks, heads, head_width, CHUNK), np.int8)
        self.values = np.zeros((layers, slots, chunks, heads, CHUNK, head_width), np.int8)
        self.scales = np.zeros((layers, slots, chunks, 2, heads, CHUNK))


class NumbaInt8Decoder(Int8Decoder):
    """Computes the numbers of ``Int8Decoder`` with a fraction of its memory traffic."""

    def empty_cache(self, slots: int, positions: int) -> ChunkedInt8KVCache:
        """Return an empty KV cache with at least ``positions`` positions in each slot."""
        return ChunkedInt8KVCache(
            layers=len(self.layers), slots=slots, heads=self.heads, positions=positions, head_width=self.head_width
        )

    def step(
        self, tokens: torch.Tensor, positions: torch.Tensor, cache: Any, slots: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Run one decode step, as ``Int8Decoder.step``; its cost depends on the rows, not on the number of slots."""
        states = self.token_embeddings[tokens].double() + self.position_embeddings[positions]
        if self.embedding_norm is not None:
            states = self.embedding_norm(states)
        x = QuantizedStates(states, separate_largest=True)
        x.quantize(self.layers[0].attention_norm if self.pre_norm else None)
        row_slots = (torch.arange(len(tokens)) if slots is None else slots).numpy()
        next_norms = [*(layer.attention_norm for layer in self.layers[1:]), self.head_norm]
        caches = zip(cache.keys, cache.values, cache.scales, strict=True)
        for layer, next_norm, layer_cache in zip(self.layers, next_norms, caches, strict=True):
            norms = (layer.mlp_norm, next_norm) if self.pre_norm else (layer.attention_norm, layer.mlp_norm)
            qkv = x.multiply(layer.attention_in)
            limits = self.query_max, WEIGHTS_SUM
            attend(*qkv, *layer_cache, row_slots, positions.numpy(), *limits, *x.outputs)
            x.add(layer.attention_out, norms[0], replace=not self.pre_norm)
            x.add(layer.down, norms[1], replace=not self.pre_norm, activations=x.activate(layer.up))
        return states

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Map hidden states (rows, width) to logits (rows, vocabulary) float32."""
        x = QuantizedStates(states, separate_largest=True)
        if self.transform is not None:
            x.quantize(None)
            x = QuantizedStates(torch.from_numpy(x.activate(self.transform).values), separate_largest=True)
        x.quantize(self.head_norm)
        return x.logits(self.head, self.head_bias)


def create_int8_decoder(model: Any, options: Int8Options = NEAREST) -> Int8Decoder:
    """Return the fastest int8 decoder for a model's device; two-pass layers have no Numba kernels."""
    if model.device.type == "cpu" and not options.two_pass:
        return NumbaInt8Decoder(model, options)
    return Int8Decoder(model, options)
