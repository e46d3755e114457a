"""Weights at rest: matrices as int8 with one float32 scale per row, everything else as float16."""

from collections.abc import Mapping

import torch

SCALE = ".scale"
"""Suffix of the tensor of row scales that belongs to an int8 matrix."""
KEPT = ("position_embeddings.weight", "token_type_embeddings.weight")
"""Matrices that stay float16: they are small, and are added to every token's embedding."""


def quantise(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Round each row of a matrix to 255 levels, symmetric around zero.

    Args:
        weights: float tensors by name; matrices have shape (rows, columns).

    Returns:
        For each matrix NAME its int8 codes and ``NAME.scale`` of shape (rows,), such that
        ``weight = codes * scale[:, None]`` up to half a scale; all other tensors in float16.
    """
    stored = {}
    for name, weight in weights.items():
        weight = weight.detach().float()
        if weight.ndim == 2 and not name.endswith(KEPT):
            scale = (weight.abs().amax(1) / 127).clamp_min(torch.finfo(torch.float32).tiny)
            stored[name] = (weight / scale[:, None]).round().to(torch.int8)
            stored[name + SCALE] = scale
        else:
            stored[name] = weight.half()
    return stored


def dequantise(stored: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the float32 weights of what ``quantise`` returned."""
    return {
        name: value.float() * stored[name + SCALE][:, None] if value.dtype == torch.int8 else value.float()
        for name, value in stored.items()
        if not name.endswith(SCALE)
    }
