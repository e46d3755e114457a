"""A causal language model in 8-bit integers, a token of every row at a time.

All that is summed over more than a few numbers is summed in integers, also in attention; the rest is float64.
Logits therefore do not depend on what else is computed beside a row, nor on where.
"""

from collections.abc import Collection
from typing import Any

import torch
from torch.nn import functional

from gendist.errors import GendistError
from gendist.nn.int8_linear import EXACT, GELU_OFFSET, LEVELS, IntegerLinear, quantize_rows
from gendist.nn.transformer_parts import Layer, can_decode, network_of

QUERY_LEVELS = 2047
"""A query is rounded less than keys are, as far as sums of 64 products stay exact."""
WEIGHTS = 2**16
"""What attention's weights of a row add up to as integers."""


class KeysAndValues:
    """What the rows in some slots have been read as so far, in bytes."""

    def __init__(self, layers: int, slots: int, heads: int, places: int, width: int, device: torch.device) -> None:
        """Make room for ``places`` tokens in each slot."""
        self.heads, self.places = heads, places
        shape = (slots, heads, places, width)
        self.keys, self.values = (
            [torch.zeros(shape, dtype=torch.int8, device=device) for _ in range(layers)] for _ in range(2)
        )
        # What a key or value is worth: times a weight of zero, what an earlier row left is zero, as nothing is not.
        self.key_steps, self.value_steps = (
            [torch.zeros(shape[:3], dtype=torch.float64, device=device) for _ in range(layers)] for _ in range(2)
        )

    def put(self, layer: int, where: torch.Tensor, codes: torch.Tensor, steps: torch.Tensor) -> None:
        """Write a key and a value of each row and head.

        Args:
            layer: number of the layer.
            where: numbers of slot, head and place as one, (rows heads,).
            codes: bytes, (2, rows, heads, width).
            steps: what they are worth, (2, rows, heads, 1).
        """
        for parts, part in zip((self.keys, self.values), codes, strict=True):
            parts[layer].flatten(0, 2).index_copy_(0, where, part.flatten(0, 1))
        for parts, part in zip((self.key_steps, self.value_steps), steps, strict=True):
            parts[layer].flatten().index_copy_(0, where, part.flatten())

    def get(self, layer: int, slots: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        """Return keys and values, (rows heads, places, width) int8, and their steps, (rows heads, places)."""
        parts = (self.keys[layer], self.values[layer], self.key_steps[layer], self.value_steps[layer])
        found = (part if slots is None else part[slots] for part in parts)
        return tuple(part.flatten(0, 1) for part in found)


class Decoder:
    """GPT-2, or BERT as a causal model: the architectures that the paper and the pocket generator have."""

    def __init__(self, model: Any, two_pass: Collection[str] = ()) -> None:
        """Take the weights of a float32 model; it is not changed.

        Args:
            model: GPT-2 or BERT.
            two_pass: linear layers, of ``LINEAR``, whose inputs are rounded to 16 bits in place of 8.

        Raises:
            GendistError: if it is of another architecture.
        """
        if not can_decode(model.config):
            kind = model.config.model_type
            raise GendistError(
                f"a generator of type '{kind}' cannot be run in int8; set precision of the sampling to float32"
            )

        def linear(kind: str, weight: torch.Tensor, bias: torch.Tensor | None) -> IntegerLinear:
            return integer_linear(kind, weight, bias, two_pass=kind in two_pass)

        parts = network_of(model, linear, torch.float64)
        self.layers, self.transform = parts.layers, parts.transform
        self.first_norm: Any = parts.first_norm
        self.head_norm, self.head, self.head_bias = parts.head_norm, parts.head, parts.head_bias
        self.words, self.places = parts.words, parts.places
        self.norm_first = model.config.model_type == "gpt2"
        self.heads = model.config.num_attention_heads
        self.width = model.config.hidden_size // self.heads
        self.query_levels = min(QUERY_LEVELS, EXACT // (LEVELS * self.width))

    def empty_cache(self, slots: int, places: int) -> Any:
        """Return a cache for this many slots and tokens in each."""
        return KeysAndValues(len(self.layers), slots, self.heads, places, self.width, self.words.device)

    def step(
        self, tokens: torch.Tensor, places: torch.Tensor, cache: Any, slots: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Read one more token of some rows; return the last layer's states (rows, width).

        Args:
            tokens: one of each row, (rows,).
            places: how many tokens of its row come before it, (rows,). What an earlier row left in a slot has no
                influence, so that a new one begins at 0 without further ado.
            cache: what has been read so far.
            slots: those of the rows in the cache, (rows,); all in order by default.
        """
        x = self.words[tokens].double() + self.places[places]
        heads = torch.arange(self.heads, device=places.device)
        own = torch.arange(len(tokens), device=places.device) if slots is None else slots
        where = ((own[:, None] * self.heads + heads) * cache.places + places[:, None]).flatten()
        beyond = torch.arange(cache.places, device=places.device) > places[:, None, None]
        beyond = beyond.expand(-1, self.heads, -1).flatten(0, 1)  # (rows heads, places)
        if not self.norm_first:
            x = self.first_norm(x)
        for number, layer in enumerate(self.layers):
            query, (codes, steps) = self.ask(x, layer)
            cache.put(number, where, codes, steps)
            keys, values, key_steps, value_steps = cache.get(number, slots)
            x = self.go_on(x, *self.weigh(query, (keys, key_steps), value_steps, beyond), values, layer)
        return x

    def ask(self, x: torch.Tensor, layer: Layer) -> tuple[tuple[torch.Tensor, torch.Tensor], ...]:
        """Return what states (rows, width) ask for, and what they add to the cache: integers and their steps.

        Queries are (rows heads, 1, width of a head) float64, keys and values (2, rows, heads, width of a head) int8.
        """
        joined = layer.attention_in(layer.attention_norm(x) if self.norm_first else x)
        query, key_and_value = joined.view(len(x), 3, self.heads, self.width).transpose(0, 1).split([1, 2])
        codes, steps = quantize_rows(key_and_value)
        return quantize_rows(query.reshape(-1, 1, self.width), self.query_levels), (codes.to(torch.int8), steps)

    def weigh(
        self,
        query: tuple[torch.Tensor, torch.Tensor],
        past: tuple[torch.Tensor, torch.Tensor],
        value_steps: torch.Tensor,
        beyond: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return attention's weights as integers (rows heads, length) float32, and what one is worth of values' bytes.

        Args:
            query: integers and their steps, of ``ask``.
            past: keys and their steps, as ``KeysAndValues.get`` returns them.
            value_steps: likewise.
            beyond: which places come later than the row's token, (rows heads, length).
        """
        (codes, steps), (keys, key_steps) = query, past
        scores = _sums(codes.transpose(1, 2).float(), keys.transpose(1, 2))
        scores = scores.mul_(steps[:, 0] * self.width**-0.5).mul_(key_steps).masked_fill_(beyond, -torch.inf)
        shares = torch.softmax(scores, 1).mul_(value_steps)
        unit = shares.sum(1, keepdim=True).div_(WEIGHTS)
        return (shares / unit).round_().float(), unit

    def go_on(
        self, x: torch.Tensor, weights: torch.Tensor, unit: torch.Tensor, values: torch.Tensor, layer: Layer
    ) -> torch.Tensor:
        """Map a layer's states (rows, width), with attention's ``weights`` and their ``unit``, to the next one's."""
        x = x + layer.attention_out(_sums(weights[:, :, None], values).mul_(unit).view(len(x), -1))
        if not self.norm_first:
            x = layer.attention_norm(x)
        x = x + layer.down(_gelu(layer.up(layer.feed_norm(x) if self.norm_first else x)))
        return x if self.norm_first else layer.feed_norm(x)

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Map states (rows, width) to logits (rows, vocabulary), float32."""
        if self.transform is not None:
            states = _gelu(self.transform(states))
        products, step = self.head.products(self.head_norm(states))
        output = products.mul_(step.float())
        return output if self.head_bias is None else output.add_(self.head_bias)


def _sums(factors: torch.Tensor, integers: torch.Tensor) -> torch.Tensor:
    """Return the sums of integers (n, k, m) times factors (n, k, 1), which float32 holds: (n, m) float64."""
    return torch.bmm(factors.transpose(1, 2), integers.float())[:, 0].double()


def _gelu(x: torch.Tensor) -> torch.Tensor:
    """GELU by its tanh form, also where the model has the other: they are 0.0005 apart, 8 bits ten times as much."""
    return functional.gelu(x, approximate="tanh")


def integer_linear(
    kind: str,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    dtype: torch.dtype = torch.float64,
    *,
    two_pass: bool = False,
) -> IntegerLinear:
    """Return a linear layer in integers; ``dtype`` is that of what it takes and returns."""
    if kind != "down":
        return IntegerLinear(weight, bias, dtype, two_pass=two_pass)
    # The second layer of a feed-forward block: its inputs come out of GELU, and its weights have outliers.
    return IntegerLinear(weight, bias, dtype, offset=GELU_OFFSET, outliers=True, two_pass=two_pass)
