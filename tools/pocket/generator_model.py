"""Pocket generator: a causal language model initialised from the stacked layers of a sentence encoder."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertLMHeadModel

from gendist.nn.pocket.pocket_tokenizer import boundary_ids, generator_tokenizer

WORD_EMBEDDINGS, OUTPUT_BIAS = "bert.embeddings.word_embeddings.weight", "cls.predictions.bias"
VOCABULARY_MULTIPLE = 128
"""Vocabulary padding during training: matrix products of other widths are slow on GPUs."""
PADDING_BIAS = -1.0e4
"""Output bias of padding entries: makes their probability and gradient zero."""


def generator_config(encoder: Path, layers: int) -> BertConfig:
    """Return the encoder's configuration with ``layers`` layers, a causal mask and no dropout."""
    config = BertConfig.from_pretrained(encoder)
    config.num_hidden_layers = layers
    config.is_decoder = config.use_cache = True
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    config.bos_token_id, config.eos_token_id = boundary_ids(generator_tokenizer(encoder))
    config.architectures = ["BertLMHeadModel"]
    config.dtype = "float32"
    return config


def stack_encoder(encoder: Path, layers: int, unigram_counts: np.ndarray) -> BertLMHeadModel:
    """Build the causal model from the weights of an encoder.

    Layer i copies encoder layer i modulo the number of encoder layers. The output layer is tied to the word
    embeddings; its bias is initialised to the log unigram frequencies and its transform to the identity, so
    the initial model is better than chance. Token type embeddings are merged into the positions and set to
    zero, because the generator has one type.

    Args:
        encoder: transformers folder of the encoder.
        layers: layers of the generator.
        unigram_counts: occurrences of each token id, shape (vocabulary,).
    """
    config = generator_config(encoder, layers)
    vocabulary = config.vocab_size
    config.vocab_size += -vocabulary % VOCABULARY_MULTIPLE
    model = BertLMHeadModel(config)
    stored = load_file(encoder / "model.safetensors")
    words = stored.pop("embeddings.word_embeddings.weight")
    missing, unexpected = model.load_state_dict(_stack_layers(stored, layers), strict=False)
    if unexpected or any(not name.startswith("cls.") and name != WORD_EMBEDDINGS for name in missing):
        raise RuntimeError(f"encoder weights do not fit: missing {missing}, unexpected {unexpected}")
    weights = dict(model.named_parameters())
    embeddings, transform = model.bert.embeddings, model.cls.predictions.transform.dense
    with torch.no_grad():
        weights[WORD_EMBEDDINGS].zero_()[:vocabulary] = words
        frequency = (unigram_counts + 0.1) / (unigram_counts + 0.1).sum()
        weights[OUTPUT_BIAS].fill_(PADDING_BIAS)[:vocabulary] = torch.from_numpy(np.log(frequency)).float()
        torch.nn.init.eye_(transform.weight)
        transform.bias.zero_()
        embeddings.position_embeddings.weight += embeddings.token_type_embeddings.weight[0]
        embeddings.token_type_embeddings.weight.zero_().requires_grad_(False)
    return model


def _stack_layers(stored: dict[str, torch.Tensor], layers: int) -> dict[str, torch.Tensor]:
    """Map encoder tensors to the names of the causal model, repeating layers cyclically."""
    prefix = "encoder.layer."
    depth = 1 + max(int(name.split(".")[2]) for name in stored if name.startswith(prefix))
    stacked = {f"bert.{n}": t for n, t in stored.items() if n.startswith("embeddings.") and "position_ids" not in n}
    for layer in range(layers):
        source = f"{prefix}{layer % depth}."
        for name, tensor in stored.items():
            if name.startswith(source):
                stacked[f"bert.{prefix}{layer}.{name.removeprefix(source)}"] = tensor
    return stacked


def trained_weights(model: BertLMHeadModel, vocabulary: int) -> dict[str, torch.Tensor]:
    """Return the weights by name, without vocabulary padding; tied weights occur once."""
    padded = (WORD_EMBEDDINGS, OUTPUT_BIAS)
    return {name: p[:vocabulary] if name in padded else p for name, p in model.named_parameters()}


class NextTokenLoss:
    """Mean next-token cross-entropy in nats, under bf16 autocast.

    Args:
        model: causal language model.
        compiled: compile the layers, and the output layer with the loss. The logits of a batch (tokens x
            vocabulary), the largest tensors, then exist only in bf16.
    """

    def __init__(self, model: BertLMHeadModel, compiled: bool) -> None:
        self.model = model
        self.head_loss = torch.compile(_head_loss, dynamic=False) if compiled else _head_loss
        if compiled:
            for layer in model.bert.encoder.layer:
                layer.compile(dynamic=False)

    def __call__(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the loss of ids of shape (sequences, tokens)."""
        with torch.autocast(ids.device.type, torch.bfloat16):
            hidden = self.model.bert(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
            return self.head_loss(self.model.cls, hidden, ids[:, 1:])


def _head_loss(head: torch.nn.Module, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    logits = head(hidden).flatten(0, 1)  # (sequences x tokens, padded vocabulary)
    return torch.nn.functional.cross_entropy(logits.float(), targets.flatten())
