"""Batch size of generation where the settings are ``auto``."""

from typing import Any

import torch

from gendist.config.sampling_settings import Sampling
from gendist.stages.synthetic.backend_selection import Precision

ON_CPU = 128
"""Larger batches are no faster on a CPU."""
ON_GPU = 2048
"""From this size on, a decode step on a GPU is bound by arithmetic and not by reading the weights."""
LOGITS_COPIES = 5
"""Maximum number of float32 copies of a row's logits while a token is drawn, with top-p."""


def resolve_batch_size(settings: Sampling, model: Any, precision: Precision) -> int:
    """Return the batch size of the settings, or for ``auto`` the one that suits the model's device.

    It depends on a GPU's total memory, not on the free memory, because kernels depend on the batch size: all GPUs of a
    kind get the same.
    """
    if settings.batch_size != "auto":
        return settings.batch_size
    if model.device.type != "cuda":
        return ON_CPU
    each = bytes_per_row(model.config, settings, precision)
    return largest_fitting_batch(each, torch.cuda.mem_get_info(model.device)[1])


def largest_fitting_batch(each: int, memory: int, rows: int = ON_GPU) -> int:
    """Return ``rows``, halved until rows of ``each`` bytes fit in half of the memory."""
    while rows > 1 and 2 * rows * each > memory:
        rows //= 2
    return rows


def bytes_per_row(config: Any, settings: Sampling, precision: Precision) -> int:
    """Estimate the bytes of a row on a GPU: its KV cache in all layers, and its logits."""
    positions = settings.max_tokens + 2 * settings.prompt_words + 8  # the start token and a label's name
    positions = min(positions, getattr(config, "max_position_embeddings", None) or positions)
    size = 2 if precision == "bf16" else 4
    kv_cache = 2 * positions * config.num_hidden_layers * config.hidden_size * size
    return kv_cache + LOGITS_COPIES * 4 * int(config.vocab_size)
