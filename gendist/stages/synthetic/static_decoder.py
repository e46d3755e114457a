"""GPT-2 and BERT as causal models on a GPU: a token of every row at a time, in fixed shapes.

Weights and the inputs of matrix products are bf16; what is added up from layer to layer, normalisations and logits are
float32.
"""

from functools import partial
from typing import Any

import torch
from torch.nn import functional

from gendist.nn.transformer_parts import network_of

LENGTHS = 16
"""Lengths that attention reads are multiples of this."""


class StaticDecoder:
    """Reads a token of every slot at each step."""

    def __init__(self, model: Any, dtype: torch.dtype, columns: int) -> None:
        """Take the weights of a model that ``can_decode`` accepts; it is not changed.

        Args:
            model: GPT-2 or BERT, on any device.
            dtype: of weights, keys and values, and of the inputs of matrix products.
            columns: of the logits, at least the vocabulary; those beyond it are 0, plus nothing.
        """

        def linear(kind: str, weight: torch.Tensor, bias: torch.Tensor | None) -> Any:
            weight = weight.to(dtype).contiguous()
            if kind == "head":
                return functional.pad(weight, (0, 0, 0, columns - len(weight)))
            return partial(functional.linear, weight=weight, bias=None if bias is None else bias.to(dtype))

        self.parts, self.dtype = network_of(model, linear, torch.float32), dtype
        self.words = self.parts.words.to(dtype)
        bias = self.parts.head_bias
        self.head_bias = None if bias is None else functional.pad(bias, (0, columns - len(bias)))
        config = model.config
        self.norm_first = config.model_type == "gpt2"
        self.heads = config.num_attention_heads
        self.width = config.hidden_size // self.heads
        activation = config.activation_function if self.norm_first else config.hidden_act
        self.gelu = partial(functional.gelu, approximate="none" if activation == "gelu" else "tanh")

    def empty_cache(self, slots: int, positions: int) -> torch.Tensor:
        """Return keys and values, (layers, slots, positions, 2, heads, width), in one allocation.

        Zeros, because of positions that are masked anything finite may be left, but no NaN.
        """
        positions = -(-positions // LENGTHS) * LENGTHS
        shape = (len(self.parts.layers), slots, positions, 2, self.heads, self.width)
        return torch.zeros(shape, dtype=self.dtype, device=self.words.device)

    def step(self, tokens: torch.Tensor, positions: torch.Tensor, cache: torch.Tensor, length: int) -> torch.Tensor:
        """Read one more token of every slot; return the logits of the next, (slots, columns) float32.

        Args:
            tokens: one of each slot, (slots,).
            positions: how many tokens of its row come before it, (slots,). What an earlier row left in a slot has no
                influence.
            cache: as ``empty_cache`` returns it; changed in place.
            length: positions that attention reads, a multiple of ``LENGTHS``, more than any of ``positions`` that
                counts. More have no influence: masked ones add exact zeros.
        """
        slots, places = len(tokens), cache.shape[2]
        where = torch.arange(slots, device=tokens.device) * places + positions
        later = torch.arange(length, device=tokens.device) > positions[:, None]
        mask = torch.zeros(slots, length, dtype=self.dtype, device=tokens.device).masked_fill_(later, -torch.inf)
        x = self.words[tokens].float() + self.parts.places[positions]
        if self.parts.first_norm is not None:
            x = self.parts.first_norm(x)
        for layer, past in zip(self.parts.layers, cache, strict=True):
            joined = layer.attention_in(self._input(x, layer.attention_norm))
            query, key_and_value = joined.split([joined.shape[1] // 3, joined.shape[1] // 3 * 2], 1)
            past.view(slots * places, -1).index_copy_(0, where, key_and_value)
            keys, values = past[:, :length].transpose(1, 3).unbind(2)  # (slots, heads, length, width)
            read = functional.scaled_dot_product_attention(
                query.unflatten(1, (self.heads, 1, self.width)), keys, values, mask[:, None, None]
            )
            x = self._normed(x + layer.attention_out(read.reshape(slots, -1)), layer.attention_norm)
            hidden = self.gelu(layer.up(self._input(x, layer.feed_norm)))
            x = self._normed(x + layer.down(hidden), layer.feed_norm)
        return self._logits(x)

    def _input(self, x: torch.Tensor, norm: Any) -> torch.Tensor:
        """Return what a block takes: GPT-2 normalises it."""
        return (norm(x) if self.norm_first else x).to(self.dtype)

    def _normed(self, x: torch.Tensor, norm: Any) -> torch.Tensor:
        """Return what a block gives: BERT normalises it."""
        return x if self.norm_first else norm(x)

    def _logits(self, x: torch.Tensor) -> torch.Tensor:
        if self.parts.transform is not None:
            x = self.gelu(self.parts.transform(x.to(self.dtype)).float())
        x = self.parts.head_norm(x).to(self.dtype)
        # In bf16, logits of GPT-2 would be a quarter of a nat apart.
        if x.is_cuda and self.dtype != torch.float32:
            logits = torch.mm(x, self.parts.head.t(), out_dtype=torch.float32)
        else:
            logits = x.float() @ self.parts.head.float().t()
        return logits if self.head_bias is None else logits.add_(self.head_bias)
