"""Storage format of weights: int8 matrices with one float32 scale per row, all other tensors float16."""

from collections.abc import Mapping

import torch

SCALE = ".scale"
"""Suffix of the tensor of an int8 matrix' row scales."""
FLOAT16_MATRICES = ("position_embeddings.weight", "token_type_embeddings.weight")
"""Matrices stored as float16: small ones, which are added to every token's embedding."""


def quantize(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Quantise each row of a matrix to 255 levels, symmetric around zero.

    Args:
        weights: float tensors by name; matrices have shape (rows, columns).

    Returns:
        For each matrix NAME, its int8 codes and ``NAME.scale`` of shape (rows,), such that
        ``weight = codes * scale[:, None]`` up to half a scale; all other tensors in float16.
    """
    stored = {}
    for name, weight in weights.items():
        weight = weight.detach().float()
        if weight.ndim == 2 and not name.endswith(FLOAT16_MATRICES):
            scale = (weight.abs().amax(1) / 127).clamp_min(torch.finfo(torch.float32).tiny)
            stored[name] = (weight / scale[:, None]).round().to(torch.int8)
            stored[name + SCALE] = scale
        else:
            stored[name] = weight.half()
    return stored


def dequantize(stored: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return float32 weights from the output of ``quantize``."""
    return {
        name: value.float() * stored[name + SCALE][:, None] if value.dtype == torch.int8 else value.float()
        for name, value in stored.items()
        if not name.endswith(SCALE)
    }
