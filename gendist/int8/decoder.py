"""A causal language model in 8-bit integers, a token of every row at a time.

All that is summed over more than a few numbers is summed in integers, also in attention; the rest is float64.
Logits therefore do not depend on what else is computed beside a row, nor on where.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.nn import functional

from gendist.errors import GendistError
from gendist.int8.linear import EXACT, LEVELS, IntegerLinear, quantize_rows

QUERY_LEVELS = 2047
"""A query is rounded less than keys are, as far as sums of 64 products stay exact."""
WEIGHTS = 2**16
"""What attention's weights of a row add up to as integers."""


@dataclass(frozen=True)
class Norm:
    """A layer normalisation."""

    weight: torch.Tensor
    bias: torch.Tensor
    eps: float

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise states (..., width)."""
        return functional.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


class Cache(Protocol):
    """What the rows of a batch have been read as so far."""

    def select(self, rows: torch.Tensor) -> None:
        """Keep some of the rows."""


class KeysAndValues:
    """What the rows of a batch have been read as so far: integers of 8 bits, held as float32 to be multiplied."""

    def __init__(self, layers: int, rows: int, heads: int, places: int, width: int, device: torch.device) -> None:
        """Make room for ``places`` tokens of each row."""
        shape = (rows, heads, places, width)
        self.keys, self.values = ([torch.empty(shape, device=device) for _ in range(layers)] for _ in range(2))
        # A step for each key and value, float64: (2, rows, heads, places).
        self.steps = [torch.empty((2, *shape[:3]), dtype=torch.float64, device=device) for _ in range(layers)]

    def select(self, rows: torch.Tensor) -> None:
        """Keep some of the rows."""
        self.keys, self.values = ([part[rows] for part in parts] for parts in (self.keys, self.values))
        self.steps = [part[:, rows] for part in self.steps]


@dataclass(frozen=True)
class Layer:
    """A transformer layer's parts."""

    attention_in: IntegerLinear
    attention_out: IntegerLinear
    up: IntegerLinear
    down: IntegerLinear
    attention_norm: Norm
    feed_norm: Norm


class Decoder:
    """GPT-2, or BERT as a causal model: the architectures that the paper and the pocket generator have."""

    def __init__(self, model: Any) -> None:
        """Take the weights of a float32 model; it is not changed.

        Raises:
            GendistError: if it is of another architecture.
        """
        if not can_decode(model.config):
            kind = model.config.model_type
            raise GendistError(
                f"a generator of type '{kind}' cannot be run in int8; set precision of the sampling to float32"
            )
        parts = _gpt2(model) if model.config.model_type == "gpt2" else _bert(model)
        self.layers, self.first_norm, self.transform, self.head_norm = parts[:4]
        self.words, self.places, self.head, self.head_bias = parts[4:]
        self.norm_first = model.config.model_type == "gpt2"
        self.heads = model.config.num_attention_heads
        self.width = model.config.hidden_size // self.heads
        self.query_levels = min(QUERY_LEVELS, EXACT // (LEVELS * self.width))

    def empty_cache(self, rows: int, places: int) -> Any:
        """Return a cache for this many rows and tokens."""
        return KeysAndValues(len(self.layers), rows, self.heads, places, self.width, self.words.device)

    def step(self, tokens: torch.Tensor, place: int, cache: Any) -> torch.Tensor:
        """Read one more token of each row, (rows,), at ``place``; return the last layer's states (rows, width)."""
        x = self.words[tokens].double() + self.places[place]
        if not self.norm_first:
            x = self.first_norm(x)
        for number, layer in enumerate(self.layers):
            taken = layer.attention_norm(x) if self.norm_first else x
            x = x + layer.attention_out(self._attend(layer.attention_in(taken), number, place, cache))
            if not self.norm_first:
                x = layer.attention_norm(x)
            taken = layer.feed_norm(x) if self.norm_first else x
            x = x + layer.down(_gelu(layer.up(taken)))
            if not self.norm_first:
                x = layer.feed_norm(x)
        return x

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Map states (rows, width) to logits (rows, vocabulary), float32."""
        if self.transform is not None:
            states = _gelu(self.transform(states))
        products, step = self.head.products(self.head_norm(states))
        output = products.mul_(step.float())
        return output if self.head_bias is None else output.add_(self.head_bias)

    def _attend(self, joined: torch.Tensor, layer: int, place: int, cache: KeysAndValues) -> torch.Tensor:
        """Map queries, keys and values side by side (rows, 3 width) to what attention reads, (rows, width)."""
        rows = len(joined)
        query, key_and_value = joined.view(rows, 3, self.heads, self.width).transpose(0, 1).split([1, 2])
        codes, steps = quantize_rows(key_and_value)
        cache.keys[layer][:, :, place], cache.values[layer][:, :, place] = codes
        cache.steps[layer][..., place] = steps[..., 0]
        past = slice(place + 1)
        keys, values = (part[layer][:, :, past].flatten(0, 1) for part in (cache.keys, cache.values))
        key_steps, value_steps = cache.steps[layer][..., past].flatten(1, 2)  # (rows heads, past)
        codes, steps = quantize_rows(query.reshape(-1, 1, self.width), self.query_levels)
        scores = torch.bmm(codes.float(), keys.transpose(1, 2))[:, 0].double()
        scores = scores.mul_(steps[:, 0] * self.width**-0.5).mul_(key_steps)
        shares = torch.softmax(scores, 1).mul_(value_steps)
        unit = shares.sum(1, keepdim=True).div_(WEIGHTS)
        weights = (shares / unit).round_().float()
        read = torch.bmm(weights[:, None], values)[:, 0].double().mul_(unit)
        return read.view(rows, -1)


def can_decode(config: Any) -> bool:
    """Say whether a model of this configuration can be run in integers."""
    if config.model_type == "gpt2":
        plain = config.scale_attn_weights and not config.scale_attn_by_inverse_layer_idx
        return bool(plain and config.activation_function in ACTIVATIONS and not config.add_cross_attention)
    if config.model_type == "bert":
        places = getattr(config, "position_embedding_type", None) or "absolute"
        return bool(config.is_decoder and config.hidden_act in ACTIVATIONS and places == "absolute")
    return False


ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh")


def _gelu(x: torch.Tensor) -> torch.Tensor:
    """GELU by its tanh form, also where the model has the other: they are 0.0005 apart, 8 bits ten times as much."""
    return functional.gelu(x, approximate="tanh")


def _norm(layer: Any, dtype: torch.dtype = torch.float64) -> Norm:
    return Norm(layer.weight.detach().to(dtype), layer.bias.detach().to(dtype), layer.eps)


def _linear(dtype: torch.dtype, *layers: Any) -> IntegerLinear:
    """Return linear layers side by side as one."""
    weight, bias = (torch.cat([getattr(layer, name).detach() for layer in layers]) for name in ("weight", "bias"))
    return IntegerLinear(weight, bias, dtype)


def _transposed(layer: Any) -> IntegerLinear:
    """Return a layer of GPT-2, which keeps its weights the other way round."""
    return IntegerLinear(layer.weight.detach().t(), layer.bias)


def _gpt2(model: Any) -> tuple[Any, ...]:
    body = model.transformer
    layers = [
        Layer(
            _transposed(block.attn.c_attn),
            _transposed(block.attn.c_proj),
            _transposed(block.mlp.c_fc),
            _transposed(block.mlp.c_proj),
            _norm(block.ln_1),
            _norm(block.ln_2),
        )
        for block in body.h
    ]
    head = IntegerLinear(model.lm_head.weight, None)
    words, places = body.wte.weight.detach(), body.wpe.weight.detach().double()
    return layers, None, None, _norm(body.ln_f), words, places, head, None


def bert_layers(encoder: Any, dtype: torch.dtype = torch.float64) -> list[Layer]:
    """Return the layers of BERT's encoder in integers; ``dtype`` is that of what is between them."""
    return [
        Layer(
            _linear(dtype, *(getattr(block.attention.self, name) for name in ("query", "key", "value"))),
            _linear(dtype, block.attention.output.dense),
            _linear(dtype, block.intermediate.dense),
            _linear(dtype, block.output.dense),
            _norm(block.attention.output.LayerNorm, dtype),
            _norm(block.output.LayerNorm, dtype),
        )
        for block in encoder.layer
    ]


def _bert(model: Any) -> tuple[Any, ...]:
    embeddings, predictions = model.bert.embeddings, model.cls.predictions
    layers = bert_layers(model.bert.encoder)
    places = embeddings.position_embeddings.weight.detach().double()
    places = places + embeddings.token_type_embeddings.weight.detach()[0].double()
    return (
        layers,
        _norm(embeddings.LayerNorm),
        _linear(torch.float64, predictions.transform.dense),
        _norm(predictions.transform.LayerNorm),
        embeddings.word_embeddings.weight.detach(),
        places,
        IntegerLinear(predictions.decoder.weight, None),
        predictions.decoder.bias.detach().float(),
    )
