"""Choose gradient checkpointing, by an estimate of the memory of activations on a GPU."""

from typing import Any

import torch

from gendist.config.generator_settings import Generator

ACTIVATION_BYTES = 68
"""Bytes of activations per token, layer and unit of width: 34 in half precision with fused attention (Korthikanti et
al. 2022, Reducing Activation Recomputation, section 4.1), and as many for the float32 copies that autocast keeps."""
OPTIMIZER_BYTES = 12
"""Bytes of a trainable weight's gradient and two moments."""


def uses_checkpointing(model: Any, settings: Generator) -> bool:
    """Return whether activations are recomputed in the backward pass."""
    if settings.gradient_checkpointing != "auto":
        return settings.gradient_checkpointing
    if model.device.type != "cuda":
        return True
    free = torch.cuda.mem_get_info(model.device)[0]
    optimizer = OPTIMIZER_BYTES * sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    return activation_bytes(model.config, settings) > (free - optimizer) / 2


def activation_bytes(config: Any, settings: Generator) -> int:
    """Estimate the bytes of activations that a batch of full windows stores for its backward pass."""
    tokens = settings.batch_size * min(settings.window, getattr(config, "max_position_embeddings", settings.window))
    return int(ACTIVATION_BYTES * tokens * config.num_hidden_layers * config.hidden_size)
