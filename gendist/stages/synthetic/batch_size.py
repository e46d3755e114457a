"""How many rows are written side by side where the settings do not say."""

from typing import Any

import torch

from gendist.config.sampling_settings import Sampling
from gendist.nn.transformer_parts import can_decode

ON_CPU = 128
"""A CPU gains nothing from more."""
ON_GPU = 1024
"""A GPU reads its weights once for all rows; with so many it computes for longer than it reads."""
COPIES = 5
"""Copies of a row's logits in float32 that drawing a token takes at most, those of top-p among them."""


def rows_at_once(settings: Sampling, model: Any) -> int:
    """Return how many rows of a model are written side by side: what the settings say, or what suits its device.

    All GPUs of a kind get the same number, whatever else is in their memory, because kernels depend on it.
    """
    if settings.batch_size != "auto":
        return settings.batch_size
    if model.device.type != "cuda":
        return ON_CPU
    return fitting(row_bytes(model.config, settings), torch.cuda.mem_get_info(model.device)[1])


def fitting(each: int, memory: int, rows: int = ON_GPU) -> int:
    """Return how many rows of ``each`` bytes take no more than half of the memory: ``rows``, halved if need be."""
    while rows > 1 and 2 * rows * each > memory:
        rows //= 2
    return rows


def row_bytes(config: Any, settings: Sampling) -> int:
    """Return about how many bytes a row needs on a GPU: keys and values of all layers, and its logits."""
    places = settings.max_tokens + 2 * settings.prompt_words + 8  # the start, a label's name
    places = min(places, getattr(config, "max_position_embeddings", None) or places)
    size = 4 if settings.precision == "float32" or not can_decode(config) else 2
    return 2 * places * config.num_hidden_layers * config.hidden_size * size + COPIES * 4 * int(config.vocab_size)
