"""The layers of GPT-2 and BERT causal models in one common form, for decoders that run them in their own way."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

LINEAR_KINDS = ("attention_in", "attention_out", "up", "down", "transform", "head")
"""Kinds of linear layers; ``transform`` precedes BERT's output layer."""
ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh")
LinearFactory = Callable[[str, torch.Tensor, torch.Tensor | None], Any]
"""Creates a linear layer from its kind (of ``LINEAR_KINDS``), weight (outputs, inputs) and bias (outputs,)."""


@dataclass(frozen=True)
class Norm:
    """Layer normalisation."""

    weight: torch.Tensor
    bias: torch.Tensor
    eps: float

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise hidden states (..., width)."""
        return functional.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A transformer layer; its linear layers are made by the ``LinearFactory``."""

    attention_in: Any
    """Queries, keys and values, concatenated."""
    attention_out: Any
    up: Any
    down: Any
    attention_norm: Norm
    mlp_norm: Norm


@dataclass(frozen=True, kw_only=True)
class TransformerParts:
    """The parts of GPT-2, or of BERT as a causal model."""

    layers: list[Layer]
    embedding_norm: Norm | None = None
    """Of BERT's embeddings. GPT-2 normalises before each block, BERT after it."""
    transform: Any = None
    """BERT's linear layer before the output layer, or None."""
    head_norm: Norm
    token_embeddings: torch.Tensor
    """(vocabulary, width)."""
    position_embeddings: torch.Tensor
    """(positions, width)."""
    head: Any
    head_bias: torch.Tensor | None


def supports_decoding(config: Any) -> bool:
    """Return whether ``extract_parts`` supports models of this configuration."""
    if config.model_type == "gpt2":
        plain = config.scale_attn_weights and not config.scale_attn_by_inverse_layer_idx
        return bool(plain and config.activation_function in ACTIVATIONS and not config.add_cross_attention)
    if config.model_type == "bert":
        positions = getattr(config, "position_embedding_type", None) or "absolute"
        return bool(config.is_decoder and config.hidden_act in ACTIVATIONS and positions == "absolute")
    return False


def extract_parts(model: Any, linear: LinearFactory, dtype: torch.dtype) -> TransformerParts:
    """Return the parts of a model that ``supports_decoding`` accepts.

    Args:
        model: GPT-2, or BERT as a causal model.
        linear: creates the linear layers.
        dtype: of layer normalisations and position embeddings.
    """
    return (_gpt2 if model.config.model_type == "gpt2" else _bert)(model, linear, dtype)


def _norm(layer: Any, dtype: torch.dtype) -> Norm:
    return Norm(layer.weight.detach().to(dtype), layer.bias.detach().to(dtype), layer.eps)


def _gpt2(model: Any, linear: LinearFactory, dtype: torch.dtype) -> TransformerParts:
    def from_conv1d(kind: str, layer: Any) -> Any:
        """Convert a ``Conv1D``, whose weight is (inputs, outputs)."""
        return linear(kind, layer.weight.detach().t(), layer.bias.detach())

    body = model.transformer
    layers = [
        Layer(
            attention_in=from_conv1d("attention_in", block.attn.c_attn),
            attention_out=from_conv1d("attention_out", block.attn.c_proj),
            up=from_conv1d("up", block.mlp.c_fc),
            down=from_conv1d("down", block.mlp.c_proj),
            attention_norm=_norm(block.ln_1, dtype),
            mlp_norm=_norm(block.ln_2, dtype),
        )
        for block in body.h
    ]
    return TransformerParts(
        layers=layers,
        head_norm=_norm(body.ln_f, dtype),
        token_embeddings=body.wte.weight.detach(),
        position_embeddings=body.wpe.weight.detach().to(dtype),
        head=linear("head", model.lm_head.weight.detach(), None),
        head_bias=None,
    )


def bert_layers(encoder: Any, linear: LinearFactory, dtype: torch.dtype) -> list[Layer]:
    """Return the layers of a ``BertEncoder``; ``dtype`` is that of layer normalisations."""

    def concatenated(kind: str, *layers: Any) -> Any:
        """Concatenate linear layers of the same inputs to one."""
        weight, bias = (torch.cat([getattr(layer, name).detach() for layer in layers]) for name in ("weight", "bias"))
        return linear(kind, weight, bias)

    return [
        Layer(
            attention_in=concatenated(
                "attention_in", *(getattr(block.attention.self, name) for name in ("query", "key", "value"))
            ),
            attention_out=concatenated("attention_out", block.attention.output.dense),
            up=concatenated("up", block.intermediate.dense),
            down=concatenated("down", block.output.dense),
            attention_norm=_norm(block.attention.output.LayerNorm, dtype),
            mlp_norm=_norm(block.output.LayerNorm, dtype),
        )
        for block in encoder.layer
    ]


def _bert(model: Any, linear: LinearFactory, dtype: torch.dtype) -> TransformerParts:
    embeddings, predictions = model.bert.embeddings, model.cls.predictions
    positions = embeddings.position_embeddings.weight.detach().to(dtype)
    dense = predictions.transform.dense
    return TransformerParts(
        layers=bert_layers(model.bert.encoder, linear, dtype),
        embedding_norm=_norm(embeddings.LayerNorm, dtype),
        transform=linear("transform", dense.weight.detach(), dense.bias.detach()),
        head_norm=_norm(predictions.transform.LayerNorm, dtype),
        token_embeddings=embeddings.word_embeddings.weight.detach(),
        position_embeddings=positions + embeddings.token_type_embeddings.weight.detach()[0].to(dtype),
        head=linear("head", predictions.decoder.weight.detach(), None),
        head_bias=predictions.decoder.bias.detach().float(),
    )
