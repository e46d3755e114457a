"""Linear layers that store bf16 weights and compute in the type of their inputs.

A causal language model of 8 B parameters fits in 16 GB this way, and a row that is computed in float32, or again in
float64, does not depend on the batch that it is in: products in bf16 would.
"""

import copy
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import nn

from gendist.nn.transformer_parts import supports_decoding

WeightType = Literal["auto", "float32", "bf16"]
"""``Generator.dtype``."""


class Bf16Linear(nn.Module):
    """Frozen linear layer; ``weight`` is (outputs, inputs) in bf16."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        """Keep the weights; they are plain attributes, which ``float`` and ``double`` of a model leave as they are."""
        super().__init__()
        self.weight = weight.detach().to(torch.bfloat16)
        self.bias = None if bias is None else bias.detach()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., inputs) to (..., outputs) in the type of ``x``."""
        return nn.functional.linear(x, self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))

    def __deepcopy__(self, memo: Any) -> "Bf16Linear":
        """Share the layer with copies of the model in other types."""
        return self


def weight_dtype(choice: WeightType, config: Any, device: torch.device) -> torch.dtype:
    """Return the type of weights that are not trained; GPT-2 and BERT are small and stay in float32."""
    if choice == "float32" or supports_decoding(config) or (choice == "auto" and device.type == "cpu"):
        return torch.float32
    return torch.bfloat16


def load_for_sampling(load: Callable[[torch.dtype], Any], dtype: torch.dtype, device: torch.device) -> Any:
    """Return a model in evaluation mode on its device; with bf16 weights, it computes in float32.

    Args:
        load: loads the model in a type.
        dtype: from ``weight_dtype``.
        device: device of the model.
    """
    model = load(dtype).to(device).eval()
    if dtype != torch.bfloat16:
        return model
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Linear):
                setattr(parent, name, Bf16Linear(layer.weight, layer.bias))
    model.float()  # embeddings, normalisation and the like
    model.config.dtype = torch.float32
    return model


def float64_copy(model: Any) -> Any:
    """Return a copy that computes in float64; layers in bf16 are shared."""
    return copy.deepcopy(model).double()
