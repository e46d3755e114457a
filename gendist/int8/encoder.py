"""BERT's encoder in 8-bit integers, for whole texts at once.

Unlike the decoder's, sums outside of the linear layers are those of float32.
"""

from typing import Any

import numpy as np
import torch
from torch import nn
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

        The mask broadcasts to (rows, heads, tokens, tokens), and each row's tokens come before what fills it up.
        """
        rows, tokens = hidden_states.shape[:2]
        inside = torch.ones(rows, tokens, dtype=torch.bool)
        if attention_mask is not None:
            allowed = attention_mask if attention_mask.dtype == torch.bool else attention_mask > -1
            inside = allowed[:, 0, 0].expand(rows, tokens)
        begins = np.append(0, inside.sum(1).cumsum(0).numpy())
        count = begins[-1]
        # All tokens (filled up, width): oneDNN compiles its products anew for every number of rows.
        states = hidden_states.new_zeros(-(-count // ROWS) * ROWS, hidden_states.shape[2])
        states[:count] = hidden_states[inside]
        x = Rounded(states)
        x.round(None)
        for layer in self.layers:
            kernels.attend_within(*times(x.codes, layer.attention_in), begins, self.heads, x.codes.numpy(), x.steps)
            x.add(layer.attention_out, x.codes, layer.attention_norm, replace=True)
            x.add(layer.down, x.activate(layer.up)[1], layer.feed_norm, replace=True)
        output = torch.zeros_like(hidden_states)
        output[inside] = states[:count]
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=output)
