"""Int8 decoder for GPT-2 and BERT causal models: one token per row and step, with an int8 KV cache.

Every sum over more than a few terms is an integer sum, in attention as well; the rest is float64. Logits are therefore
bit-identical for any batch and on any machine. This is the reference in PyTorch operations, for any device;
``int8_decoder_numba.py`` computes the same numbers faster on a CPU.
"""

from typing import Any

import torch
from torch.nn import functional

from gendist.errors import GendistError
from gendist.nn.int8_linear import GELU_OFFSET, Int8Linear, quantize_rows
from gendist.nn.int8_options import NEAREST, Int8Options
from gendist.nn.int8_products import INT8_MAX, MAX_EXACT_INT
from gendist.nn.transformer_parts import Layer, extract_parts, supports_decoding

QUERY_MAX = 2047
"""Largest integer of a quantised query: finer than int8, while sums of 64 products stay exact."""
WEIGHTS_SUM = 2**16
"""Sum of the integer attention weights of a row and head."""


class Int8KVCache:
    """Keys and values per slot in int8, with one scale per head and position."""

    def __init__(
        self, *, layers: int, slots: int, heads: int, positions: int, head_width: int, device: torch.device
    ) -> None:
        """Allocate ``positions`` positions in each slot."""
        self.heads, self.positions = heads, positions
        shape = (slots, heads, positions, head_width)
        self.keys, self.values = (
            [torch.zeros(shape, dtype=torch.int8, device=device) for _ in range(layers)] for _ in range(2)
        )
        # Zeros, not uninitialised memory: masked positions get weight 0, and 0 * NaN is NaN.
        self.key_scales, self.value_scales = (
            [torch.zeros(shape[:3], dtype=torch.float64, device=device) for _ in range(layers)] for _ in range(2)
        )

    def put(self, layer: int, indices: torch.Tensor, codes: torch.Tensor, scales: torch.Tensor) -> None:
        """Write one key and one value per row and head.

        Args:
            layer: index of the layer.
            indices: flat indices over (slots, heads, positions), (rows heads,).
            codes: keys and values, (2, rows, heads, head width) int8.
            scales: theirs, (2, rows, heads, 1).
        """
        for cached, new in zip((self.keys, self.values), codes, strict=True):
            cached[layer].flatten(0, 2).index_copy_(0, indices, new.flatten(0, 1))
        for cached, new in zip((self.key_scales, self.value_scales), scales, strict=True):
            cached[layer].flatten().index_copy_(0, indices, new.flatten())

    def get(self, layer: int, slots: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        """Return keys and values (rows heads, positions, head width) int8, and their scales (rows heads, positions)."""
        cached = (self.keys[layer], self.values[layer], self.key_scales[layer], self.value_scales[layer])
        selected = (part if slots is None else part[slots] for part in cached)
        return tuple(part.flatten(0, 1) for part in selected)


class Int8Decoder:
    """GPT-2, or BERT as a causal model, in int8."""

    def __init__(self, model: Any, options: Int8Options = NEAREST) -> None:
        """Quantise the weights of a float32 model, which stays unchanged.

        Args:
            model: GPT-2 or BERT causal model.
            options: of the quantisation.

        Raises:
            GendistError: if the model has another architecture.
        """
        if not supports_decoding(model.config):
            kind = model.config.model_type
            raise GendistError(
                f"a generator of type '{kind}' cannot be run in int8; set precision of the sampling to float32"
            )

        def linear(kind: str, weight: torch.Tensor, bias: torch.Tensor | None) -> Int8Linear:
            return make_int8_linear(
                kind, weight, bias, two_pass=kind in options.two_pass, stochastic=options.stochastic
            )

        parts = extract_parts(model, linear, torch.float64)
        self.layers, self.transform = parts.layers, parts.transform
        self.embedding_norm: Any = parts.embedding_norm
        self.head_norm, self.head, self.head_bias = parts.head_norm, parts.head, parts.head_bias
        self.token_embeddings, self.position_embeddings = parts.token_embeddings, parts.position_embeddings
        self.pre_norm = model.config.model_type == "gpt2"
        self.heads = model.config.num_attention_heads
        self.head_width = model.config.hidden_size // self.heads
        self.query_max = min(QUERY_MAX, MAX_EXACT_INT // (INT8_MAX * self.head_width))

    def empty_cache(self, slots: int, positions: int) -> Any:
        """Return an empty KV cache with ``positions`` positions in each slot."""
        return Int8KVCache(
            layers=len(self.layers),
            slots=slots,
            heads=self.heads,
            positions=positions,
            head_width=self.head_width,
            device=self.token_embeddings.device,
        )

    def step(
        self, tokens: torch.Tensor, positions: torch.Tensor, cache: Any, slots: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Run one decode step; return the last layer's hidden states (rows, width) float64.

        Args:
            tokens: next input token of each row, (rows,).
            positions: its position in the row, (rows,). Later positions of the slot are masked, so a new row may
                start at 0 in a used slot.
            cache: KV cache, updated in place.
            slots: slot of each row, (rows,); row i is in slot i by default.
        """
        x = self.token_embeddings[tokens].double() + self.position_embeddings[positions]
        heads = torch.arange(self.heads, device=positions.device)
        row_slots = torch.arange(len(tokens), device=positions.device) if slots is None else slots
        indices = ((row_slots[:, None] * self.heads + heads) * cache.positions + positions[:, None]).flatten()
        causal_mask = torch.arange(cache.positions, device=positions.device) > positions[:, None, None]
        causal_mask = causal_mask.expand(-1, self.heads, -1).flatten(0, 1)  # (rows heads, positions)
        if not self.pre_norm:
            x = self.embedding_norm(x)
        for number, layer in enumerate(self.layers):
            query, (codes, scales) = self.project_qkv(x, layer)
            cache.put(number, indices, codes, scales)
            keys, values, key_scales, value_scales = cache.get(number, slots)
            weights, weight_scale = self.attention_weights(query, (keys, key_scales), value_scales, causal_mask)
            x = self.attention_output_and_mlp(x, weights, weight_scale, values, layer=layer)
        return x

    def project_qkv(self, x: torch.Tensor, layer: Layer) -> tuple[tuple[torch.Tensor, torch.Tensor], ...]:
        """Project hidden states (rows, width) to quantised queries, keys and values.

        Returns:
            Queries (rows heads, 1, head width) as float64 integers with their scales, and keys and values
            (2, rows, heads, head width) int8 with theirs.
        """
        joined = layer.attention_in(layer.attention_norm(x) if self.pre_norm else x)
        query, key_and_value = joined.view(len(x), 3, self.heads, self.head_width).transpose(0, 1).split([1, 2])
        codes, scales = quantize_rows(key_and_value)
        return quantize_rows(query.reshape(-1, 1, self.head_width), self.query_max), (codes.to(torch.int8), scales)

    def attention_weights(
        self,
        query: tuple[torch.Tensor, torch.Tensor],
        keys: tuple[torch.Tensor, torch.Tensor],
        value_scales: torch.Tensor,
        causal_mask: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return integer attention weights (rows heads, positions) float32 and their scale (rows heads, 1).

        The values' scales are folded into the weights.

        Args:
            query: integers and their scales, as ``project_qkv`` returns them.
            keys: cached keys and their scales, as ``Int8KVCache.get`` returns them.
            value_scales: scales of the cached values.
            causal_mask: True at positions after the row's token, (rows heads, positions).
        """
        (query_codes, query_scales), (key_codes, key_scales) = query, keys
        scores = _integer_products(query_codes.transpose(1, 2).float(), key_codes.transpose(1, 2))
        scores = scores.mul_(query_scales[:, 0] * self.head_width**-0.5).mul_(key_scales)
        weights = torch.softmax(scores.masked_fill_(causal_mask, -torch.inf), 1).mul_(value_scales)
        scale = weights.sum(1, keepdim=True).div_(WEIGHTS_SUM)
        return (weights / scale).round_().float(), scale

    def attention_output_and_mlp(
        self, x: torch.Tensor, weights: torch.Tensor, scale: torch.Tensor, values: torch.Tensor, *, layer: Layer
    ) -> torch.Tensor:
        """Return a layer's output states (rows, width) from its input states and integer attention weights."""
        x = x + layer.attention_out(_integer_products(weights[:, :, None], values).mul_(scale).view(len(x), -1))
        if not self.pre_norm:
            x = layer.attention_norm(x)
        x = x + layer.down(_gelu(layer.up(layer.mlp_norm(x) if self.pre_norm else x)))
        return x if self.pre_norm else layer.mlp_norm(x)

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Map hidden states (rows, width) to logits (rows, vocabulary) float32."""
        if self.transform is not None:
            states = _gelu(self.transform(states))
        products, scale = self.head.products(self.head_norm(states))
        output = products.mul_(scale.float())
        return output if self.head_bias is None else output.add_(self.head_bias)


def _integer_products(factors: torch.Tensor, integers: torch.Tensor) -> torch.Tensor:
    """Return the exact products of integers (n, k, 1) and (n, k, m), summed over k: (n, m) float64."""
    return torch.bmm(factors.transpose(1, 2), integers.float())[:, 0].double()


def _gelu(x: torch.Tensor) -> torch.Tensor:
    """GELU in its tanh form for all models: it is within 0.0005 of the exact form, a tenth of the int8 error."""
    return functional.gelu(x, approximate="tanh")


def make_int8_linear(
    kind: str,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    dtype: torch.dtype = torch.float64,
    *,
    two_pass: bool = False,
    stochastic: bool = False,
) -> Int8Linear:
    """Return the int8 linear layer of a kind; ``dtype`` is that of its inputs and outputs."""
    if kind != "down":
        return Int8Linear(weight, bias, dtype, two_pass=two_pass, stochastic=stochastic)
    # The second layer of a feed-forward block: its inputs are GELU outputs, and its weights have outliers.
    return Int8Linear(weight, bias, dtype, offset=GELU_OFFSET, outliers=True, two_pass=two_pass, stochastic=stochastic)
