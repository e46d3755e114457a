"""Whether activations are recomputed: an estimate of what finetuning holds on a GPU, by the model's shape."""

from typing import Any

import torch

from gendist.config.generator_settings import Generator

BYTES = 68
"""Bytes of activations per token, layer and unit of width: 34 in half precision without attention's matrices, which
fused kernels do not keep (Korthikanti et al. 2022, Reducing Activation Recomputation, section 4.1), and as many for
what autocast keeps in float32 beside them."""
STATES = 12
"""Bytes of a trainable weight's gradient and two moments."""


def recomputes(model: Any, settings: Generator) -> bool:
    """Return whether activations are recomputed in the backward pass."""
    if settings.gradient_checkpointing != "auto":
        return settings.gradient_checkpointing
    if model.device.type != "cuda":
        return True
    free = torch.cuda.mem_get_info(model.device)[0]
    states = STATES * sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    return activation_bytes(model.config, settings) > (free - states) / 2


def activation_bytes(config: Any, settings: Generator) -> int:
    """Return about how many bytes of activations a batch of whole windows keeps for its backward pass."""
    tokens = settings.batch_size * min(settings.window, getattr(config, "max_position_embeddings", settings.window))
    return int(BYTES * tokens * config.num_hidden_layers * config.hidden_size)
