"""GPT-2 and BERT as causal models, by their parts: what runs them in a way of its own takes these."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

LINEAR = ("attention_in", "attention_out", "up", "down", "transform", "head")
"""A model's linear layers, by kind; ``transform`` comes before BERT's output layer."""
ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh")
Linear = Callable[[str, torch.Tensor, torch.Tensor | None], Any]
"""Makes a linear layer, given its kind (of ``LINEAR``), weight (outputs, inputs) and bias (outputs,)."""


@dataclass(frozen=True)
class Norm:
    """A layer normalisation."""

    weight: torch.Tensor
    bias: torch.Tensor
    eps: float

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise states (..., width)."""
        return functional.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


@dataclass(frozen=True)
class Layer:
    """A transformer layer's parts; the linear ones are what ``network_of`` was told to make."""

    attention_in: Any
    """Queries, keys and values side by side."""
    attention_out: Any
    up: Any
    down: Any
    attention_norm: Norm
    feed_norm: Norm


@dataclass(frozen=True)
class Network:
    """The parts of GPT-2, or of BERT as a causal model."""

    layers: list[Layer]
    first_norm: Norm | None
    """Of BERT's embeddings; GPT-2 normalises before each block, BERT after it."""
    transform: Any
    """BERT's linear layer before the output layer, or None."""
    head_norm: Norm
    words: torch.Tensor
    """Token embeddings, (vocabulary, width)."""
    places: torch.Tensor
    """Position embeddings, (positions, width)."""
    head: Any
    head_bias: torch.Tensor | None


def can_decode(config: Any) -> bool:
    """Return whether a model of this configuration has the parts that ``network_of`` takes."""
    if config.model_type == "gpt2":
        plain = config.scale_attn_weights and not config.scale_attn_by_inverse_layer_idx
        return bool(plain and config.activation_function in ACTIVATIONS and not config.add_cross_attention)
    if config.model_type == "bert":
        places = getattr(config, "position_embedding_type", None) or "absolute"
        return bool(config.is_decoder and config.hidden_act in ACTIVATIONS and places == "absolute")
    return False


def network_of(model: Any, linear: Linear, dtype: torch.dtype) -> Network:
    """Return the parts of a model that ``can_decode`` accepts.

    Args:
        model: GPT-2, or BERT as a causal model.
        linear: makes the linear layers.
        dtype: of normalisations and position embeddings.
    """
    return (_gpt2 if model.config.model_type == "gpt2" else _bert)(model, linear, dtype)


def _norm(layer: Any, dtype: torch.dtype) -> Norm:
    return Norm(layer.weight.detach().to(dtype), layer.bias.detach().to(dtype), layer.eps)


def _gpt2(model: Any, linear: Linear, dtype: torch.dtype) -> Network:
    def turned(kind: str, layer: Any) -> Any:
        """Return a layer of GPT-2, which keeps its weights the other way round."""
        return linear(kind, layer.weight.detach().t(), layer.bias.detach())

    body = model.transformer
    layers = [
        Layer(
            turned("attention_in", block.attn.c_attn),
            turned("attention_out", block.attn.c_proj),
            turned("up", block.mlp.c_fc),
            turned("down", block.mlp.c_proj),
            _norm(block.ln_1, dtype),
            _norm(block.ln_2, dtype),
        )
        for block in body.h
    ]
    words, places = body.wte.weight.detach(), body.wpe.weight.detach().to(dtype)
    head = linear("head", model.lm_head.weight.detach(), None)
    return Network(layers, None, None, _norm(body.ln_f, dtype), words, places, head, None)


def bert_layers(encoder: Any, linear: Linear, dtype: torch.dtype) -> list[Layer]:
    """Return the layers of BERT's encoder; ``dtype`` is that of normalisations."""

    def joined(kind: str, *layers: Any) -> Any:
        """Return linear layers side by side as one."""
        weight, bias = (torch.cat([getattr(layer, name).detach() for layer in layers]) for name in ("weight", "bias"))
        return linear(kind, weight, bias)

    return [
        Layer(
            joined("attention_in", *(getattr(block.attention.self, name) for name in ("query", "key", "value"))),
            joined("attention_out", block.attention.output.dense),
            joined("up", block.intermediate.dense),
            joined("down", block.output.dense),
            _norm(block.attention.output.LayerNorm, dtype),
            _norm(block.output.LayerNorm, dtype),
        )
        for block in encoder.layer
    ]


def _bert(model: Any, linear: Linear, dtype: torch.dtype) -> Network:
    embeddings, predictions = model.bert.embeddings, model.cls.predictions
    places = embeddings.position_embeddings.weight.detach().to(dtype)
    dense = predictions.transform.dense
    return Network(
        bert_layers(model.bert.encoder, linear, dtype),
        _norm(embeddings.LayerNorm, dtype),
        linear("transform", dense.weight.detach(), dense.bias.detach()),
        _norm(predictions.transform.LayerNorm, dtype),
        embeddings.word_embeddings.weight.detach(),
        places + embeddings.token_type_embeddings.weight.detach()[0].to(dtype),
        linear("head", predictions.decoder.weight.detach(), None),
        predictions.decoder.bias.detach().float(),
    )
