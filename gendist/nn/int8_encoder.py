"""BERT's encoder in int8, for whole texts.

Sums outside of the linear layers are float32, unlike those of ``int8_decoder.py``.
"""

from functools import partial
from typing import Any

import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from gendist.nn.int8_attention import EncoderAttention
from gendist.nn.int8_decoder import make_int8_linear
from gendist.nn.int8_products import PACKING_ROWS
from gendist.nn.int8_states import QuantizedStates
from gendist.nn.transformer_parts import bert_layers


class Int8Encoder(nn.Module):
    """Replaces the ``BertEncoder`` of a model in evaluation mode, on a CPU."""

    def __init__(self, encoder: Any) -> None:
        """Quantise the weights of a float32 ``BertEncoder``, which stays unchanged."""
        super().__init__()
        linear = partial(make_int8_linear, dtype=torch.float32)
        self.layers = bert_layers(encoder, linear, torch.float32)
        self.heads = encoder.config.num_attention_heads

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """Map hidden states (rows, tokens, width) to hidden states; those of padding are 0.

        The mask broadcasts to (rows, heads, tokens, tokens) and hides right padding.
        """
        rows, tokens, width = hidden_states.shape
        is_token = torch.ones(rows, tokens, dtype=torch.bool)
        if attention_mask is not None:
            allowed = attention_mask if attention_mask.dtype == torch.bool else attention_mask > -1
            is_token = allowed[:, 0, 0].expand(rows, tokens)
        lengths = is_token.sum(1)
        if not torch.equal(is_token, torch.arange(tokens) < lengths[:, None]):
            raise ValueError("texts must be padded on the right")
        indices = torch.nonzero(is_token.flatten())[:, 0]
        # Padding is dropped. The number of rows is rounded up, because oneDNN compiles a kernel for each number.
        states = hidden_states.new_zeros(-(-len(indices) // PACKING_ROWS) * PACKING_ROWS, width)
        states[: len(indices)] = hidden_states.reshape(-1, width)[indices]
        x = QuantizedStates(states)
        attention = EncoderAttention(lengths.numpy(), tokens, self.heads, width // self.heads)
        x.quantize(None)
        for layer in self.layers:
            attention(*x.multiply(layer.attention_in), x.scales, x.codes.numpy())
            x.add(layer.attention_out, layer.attention_norm, replace=True)
            x.add(layer.down, layer.mlp_norm, replace=True, activations=x.activate(layer.up))
        output = torch.zeros_like(hidden_states)
        output.view(-1, width)[indices] = states[: len(indices)]
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=output)
