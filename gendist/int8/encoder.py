"""BERT's encoder in 8-bit integers, for whole texts at once.

Unlike the decoder's, sums outside of the linear layers are those of float32.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from gendist.int8 import kernels
from gendist.int8.decoder import bert_layers
from gendist.int8.linear import ROWS
from gendist.int8.rounded import Rounded, times


class IntegerEncoder(nn.Module):
    """Stands in for the layers of a BERT in evaluation mode, on a CPU."""

    def __init__(self, encoder: Any) -> None:
        """Take the weights of a ``BertEncoder`` in float32; it is not changed."""
        super().__init__()
        self.layers = bert_layers(encoder, torch.float32)
        self.heads = encoder.config.num_attention_heads

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """Map states (rows, tokens, width) to states; those of tokens that the mask leaves out are zero.

        The mask broadcasts to (rows, heads, tokens, tokens), and leaves out the same tokens everywhere in a row.
        """
        rows, tokens, width = hidden_states.shape
        inside = torch.ones(rows, tokens, dtype=torch.bool)
        if attention_mask is not None:
            allowed = attention_mask if attention_mask.dtype == torch.bool else attention_mask > -1
            inside = allowed[:, 0, 0].expand(rows, tokens)
        where = torch.nonzero(inside.flatten())[:, 0]
        # What fills texts up is left out; oneDNN compiles its products anew for every number of rows.
        states = hidden_states.new_zeros(-(-len(where) // ROWS) * ROWS, width)
        states[: len(where)] = hidden_states.reshape(-1, width)[where]
        x, joined = Rounded(states), hidden_states.new_zeros(rows * tokens, 3 * width)
        x.round(None)
        for layer in self.layers:
            kernels.spread(*times(x.codes, layer.attention_in), x.steps, where.numpy(), joined.numpy())
            query, key, value = joined.view(rows, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            read = functional.scaled_dot_product_attention(query, key, value, attention_mask)
            read = read.transpose(1, 2).reshape(-1, width)
            kernels.quantize_some(read.numpy(), where.numpy(), x.codes.numpy(), x.steps)
            x.add(layer.attention_out, x.codes, layer.attention_norm, replace=True)
            x.add(layer.down, x.activate(layer.up)[1], layer.feed_norm, replace=True)
        output = torch.zeros_like(hidden_states)
        output.view(-1, width)[where] = states[: len(where)]
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=output)
