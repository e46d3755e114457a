"""Decoder of GPT-2 and BERT causal models for GPUs: one token per slot and step, in fixed shapes.

Weights, KV cache and inputs of matrix products are bf16 (or float32); residual stream, normalisations and logits are
float32.
"""

from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch.nn import functional

from gendist.nn.transformer_parts import extract_parts
from gendist.stages.synthetic import decode_kernels


class StaticDecoder:
    """Computes all slots at every step."""

    def __init__(self, model: Any, dtype: torch.dtype, columns: int, kernels: ModuleType = decode_kernels) -> None:
        """Convert the weights of a model that ``supports_decoding`` accepts; it stays unchanged.

        Args:
            model: GPT-2 or BERT causal model, on any device.
            dtype: of weights, KV cache and inputs of matrix products.
            columns: of the logits; columns after the vocabulary are 0.
            kernels: ``decode_kernels``, or a module with the same functions.
        """

        def linear(kind: str, weight: torch.Tensor, bias: torch.Tensor | None) -> Any:
            weight = weight.to(dtype).contiguous()
            if kind == "head":
                return functional.pad(weight, (0, 0, 0, columns - len(weight)))
            return partial(functional.linear, weight=weight, bias=None if bias is None else bias.to(dtype))

        self.kernels = kernels
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
        """Return an empty KV cache, (layers, 2, slots, heads, positions, head width), in one allocation.

        It is zeroed: masked positions must be finite, because 0 * NaN is NaN.
        """
        shape = (len(self.parts.layers), 2, slots, self.heads, positions, self.head_width)
        return torch.zeros(shape, dtype=self.dtype, device=self.token_embeddings.device)

    def step(self, tokens: torch.Tensor, positions: torch.Tensor, cache: torch.Tensor) -> torch.Tensor:
        """Run one decode step; return the next token's logits (slots, columns) float32.

        Args:
            tokens: next input token of each slot, (slots,).
            positions: its position in the row, (slots,). Later positions of the slot are masked.
            cache: KV cache, updated in place.
        """
        x = self.token_embeddings[tokens].float() + self.parts.position_embeddings[positions]
        if self.parts.embedding_norm is not None:
            x = self.parts.embedding_norm(x)
        layers = self.parts.layers
        hidden = (layers[0].attention_norm(x) if self.pre_norm else x).to(self.dtype)
        for i, (layer, (keys, values)) in enumerate(zip(layers, cache, strict=True)):
            attention = self.kernels.attend(layer.attention_in(hidden), positions, keys, values)
            norm = layer.mlp_norm if self.pre_norm else layer.attention_norm
            x, hidden = self._add(x, layer.attention_out(attention), norm)
            if not self.pre_norm:
                norm = layer.mlp_norm
            else:
                norm = self.parts.head_norm if layer is layers[-1] else layers[i + 1].attention_norm
            x, hidden = self._add(x, layer.down(self.gelu(layer.up(hidden))), norm)
        return self._logits(hidden)

    def _add(self, x: torch.Tensor, update: torch.Tensor, norm: Any) -> tuple[torch.Tensor, torch.Tensor]:
        added: tuple[torch.Tensor, torch.Tensor] = self.kernels.add_and_normalise(
            x, update, norm, post_norm=not self.pre_norm
        )
        return added

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits of the last layer's normalised output."""
        if self.parts.transform is not None:
            hidden = self.parts.head_norm(self.gelu(self.parts.transform(hidden).float())).to(self.dtype)
        # Float32 output: GPT-2's logits are so large that bf16 would round them to a quarter of a nat.
        if hidden.is_cuda and self.dtype != torch.float32:
            logits = torch.mm(hidden, self.parts.head.t(), out_dtype=torch.float32)
        else:
            logits = hidden.float() @ self.parts.head.float().t()
        return logits if self.head_bias is None else logits.add_(self.head_bias)
