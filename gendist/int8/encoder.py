"""BERT's encoder in 8-bit integers, for whole texts at once.

Unlike the decoder's, sums outside of the linear layers are those of float32.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from gendist.int8.decoder import bert_layers


class IntegerEncoder(nn.Module):
    """Stands in for the layers of a BERT in evaluation mode."""

    def __init__(self, encoder: Any) -> None:
        """Take the weights of a ``BertEncoder`` in float32; it is not changed."""
        super().__init__()
        self.layers = bert_layers(encoder, torch.float32)
        self.heads = encoder.config.num_attention_heads

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """Map states (rows, tokens, width) to states, under a mask that broadcasts to (rows, heads, tokens, tokens)."""
        shape = hidden_states.shape
        x = hidden_states.reshape(-1, shape[2])
        for layer in self.layers:
            query, key, value = layer.attention_in(x).view(*shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            read = functional.scaled_dot_product_attention(query, key, value, attention_mask)
            x = layer.attention_norm(layer.attention_out(read.transpose(1, 2).reshape(x.shape)).add_(x))
            x = layer.feed_norm(layer.down(functional.gelu(layer.up(x))).add_(x))
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=x.view(shape))
