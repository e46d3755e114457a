"""Decoder of GPT-2 and BERT causal models for GPUs: one token per slot and step, in fixed shapes.

Weights, KV cache and inputs of matrix products are bf16 (or float32); residual stream, normalisations and logits are
float32.
"""

from functools import partial
from typing import Any

import torch
from torch.nn import functional

from gendist.nn.transformer_parts import extract_parts

LENGTH_MULTIPLE = 16
"""Attention lengths are multiples of this."""


class StaticDecoder:
    """Computes all slots at every step."""

    def __init__(self, model: Any, dtype: torch.dtype, columns: int) -> None:
        """Convert the weights of a model that ``supports_decoding`` accepts; it stays unchanged.

        Args:
            model: GPT-2 or BERT causal model, on any device.
            dtype: of weights, KV cache and inputs of matrix products.
            columns: of the logits; columns after the vocabulary are 0.
        """

        def linear(kind: str, weight: torch.Tensor, bias: torch.Tensor | None) -> Any:
            weight = weight.to(dtype).contiguous()
            if kind == "head":
                return functional.pad(weight, (0, 0, 0, columns - len(weight)))
            return partial(functional.linear, weight=weight, bias=None if bias is None else bias.to(dtype))

        self.parts, self.dtype = extract_parts(model, linear, torch.float32), dtype
        self.token_embeddings = self.parts.token_embeddings.to(dtype)
        bias = self.parts.head_bias
        self.head_bias = None if bias is None else functional.pad(bias, (0, columns - len(bias)))
        config = model.config
        self.pre_norm = config.model_type == "gpt2"
        self.heads = config.num_attention_heads
        self.head_width = config.hidden_size // self.heads
        activation = config.activation_function if self.pre_norm else config.hidden_act
        self.gelu = partial(functional.gelu, approximate="none" if activation == "gelu" else "tanh")

    def empty_cache(self, slots: int, positions: int) -> torch.Tensor:
        """Return an empty KV cache, (layers, slots, positions, 2, heads, head width), in one allocation.

        It is zeroed: masked positions must be finite, because 0 * NaN is NaN.
        """
        positions = -(-positions // LENGTH_MULTIPLE) * LENGTH_MULTIPLE
        shape = (len(self.parts.layers), slots, positions, 2, self.heads, self.head_width)
        return torch.zeros(shape, dtype=self.dtype, device=self.token_embeddings.device)

    def step(self, tokens: torch.Tensor, positions: torch.Tensor, cache: torch.Tensor, length: int) -> torch.Tensor:
        """Run one decode step; return the next token's logits (slots, columns) float32.

        Args:
            tokens: next input token of each slot, (slots,).
            positions: its position in the row, (slots,). Later positions of the slot are masked.
            cache: KV cache, updated in place.
            length: number of positions that attention covers: a multiple of ``LENGTH_MULTIPLE``, above the positions of
                all running rows. A larger length does not change the result, as masked positions add exact zeros.
        """
        slots, capacity = len(tokens), cache.shape[2]
        indices = torch.arange(slots, device=tokens.device) * capacity + positions
        later = torch.arange(length, device=tokens.device) > positions[:, None]
        causal_mask = torch.zeros(slots, length, dtype=self.dtype, device=tokens.device)
        causal_mask = causal_mask.masked_fill_(later, -torch.inf)
        x = self.token_embeddings[tokens].float() + self.parts.position_embeddings[positions]
        if self.parts.embedding_norm is not None:
            x = self.parts.embedding_norm(x)
        for layer, layer_cache in zip(self.parts.layers, cache, strict=True):
            qkv = layer.attention_in(self._pre_norm(x, layer.attention_norm))
            query, key_and_value = qkv.split([qkv.shape[1] // 3, qkv.shape[1] // 3 * 2], 1)
            layer_cache.view(slots * capacity, -1).index_copy_(0, indices, key_and_value)
            keys, values = layer_cache[:, :length].transpose(1, 3).unbind(2)  # (slots, heads, length, head width)
            query = query.unflatten(1, (self.heads, 1, self.head_width))
            mask = causal_mask[:, None, None]
            attention = functional.scaled_dot_product_attention(query, keys, values, mask)
            x = self._post_norm(x + layer.attention_out(attention.reshape(slots, -1)), layer.attention_norm)
            hidden = self.gelu(layer.up(self._pre_norm(x, layer.mlp_norm)))
            x = self._post_norm(x + layer.down(hidden), layer.mlp_norm)
        return self._logits(x)

    def _pre_norm(self, x: torch.Tensor, norm: Any) -> torch.Tensor:
        """Return a block's input, normalised in GPT-2."""
        return (norm(x) if self.pre_norm else x).to(self.dtype)

    def _post_norm(self, x: torch.Tensor, norm: Any) -> torch.Tensor:
        """Return a block's output, normalised in BERT."""
        return x if self.pre_norm else norm(x)

    def _logits(self, x: torch.Tensor) -> torch.Tensor:
        if self.parts.transform is not None:
            x = self.gelu(self.parts.transform(x.to(self.dtype)).float())
        x = self.parts.head_norm(x).to(self.dtype)
        # Float32 output: GPT-2's logits are so large that bf16 would round them to a quarter of a nat.
        if x.is_cuda and self.dtype != torch.float32:
            logits = torch.mm(x, self.parts.head.t(), out_dtype=torch.float32)
        else:
            logits = x.float() @ self.parts.head.float().t()
        return logits if self.head_bias is None else logits.add_(self.head_bias)
