"""BERT's encoder in 8-bit integers, for whole texts at once.

Unlike the decoder's, sums outside of the linear layers are those of float32.
"""

from functools import partial
from typing import Any

import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from gendist.nn.int8_attention import Attention
from gendist.nn.int8_decoder import integer_linear
from gendist.nn.int8_linear import ROWS
from gendist.nn.int8_states import Rounded
from gendist.nn.transformer_parts import bert_layers


class IntegerEncoder(nn.Module):
    """Stands in for the layers of a BERT in evaluation mode, on a CPU."""

    def __init__(self, encoder: Any) -> None:
        """Take the weights of a ``BertEncoder`` in float32; it is not changed."""
        super().__init__()
        linear = partial(integer_linear, dtype=torch.float32)
        self.layers = bert_layers(encoder, linear, torch.float32)
        self.heads = encoder.config.num_attention_heads

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """Map states (rows, tokens, width) to states; those of filler are zero.

        The mask broadcasts to (rows, heads, tokens, tokens), and leaves out what fills a row up at its end.
        """
        rows, tokens, width = hidden_states.shape
        inside = torch.ones(rows, tokens, dtype=torch.bool)
        if attention_mask is not None:
            allowed = attention_mask if attention_mask.dtype == torch.bool else attention_mask > -1
            inside = allowed[:, 0, 0].expand(rows, tokens)
        lengths = inside.sum(1)
        if not torch.equal(inside, torch.arange(tokens) < lengths[:, None]):
            raise ValueError("texts must be filled up at their end")
        where = torch.nonzero(inside.flatten())[:, 0]
        # What fills texts up is left out; oneDNN compiles its products anew for every number of rows.
        states = hidden_states.new_zeros(-(-len(where) // ROWS) * ROWS, width)
        states[: len(where)] = hidden_states.reshape(-1, width)[where]
        x, attend = Rounded(states), Attention(lengths.numpy(), tokens, self.heads, width // self.heads)
        x.round(None)
        for layer in self.layers:
            attend(*x.times(layer.attention_in), x.steps, x.codes.numpy())
            x.add(layer.attention_out, layer.attention_norm, replace=True)
            x.add(layer.down, layer.feed_norm, replace=True, activations=x.activate(layer.up))
        output = torch.zeros_like(hidden_states)
        output.view(-1, width)[where] = states[: len(where)]
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=output)
