"""How many rows are written side by side where the settings do not say."""

from typing import Any

import torch

from gendist.synthetic.settings import Sampling

ON_CPU = 128
"""A CPU gains nothing from more."""
ON_GPU = 1024
"""A GPU reads its weights once for all rows; with so many it computes for longer than it reads."""
COPIES = 12
"""Copies of a row's logits in float32 that choosing a token takes at most, those of top-p among them."""


def rows_at_once(settings: Sampling, model: Any) -> int:
    """Return how many rows of a model are written side by side: what the settings say, or what suits its device."""
    if settings.batch_size != "auto":
        return settings.batch_size
    if model.device.type != "cuda":
        return ON_CPU
    return fitting(row_bytes(model.config, settings), torch.cuda.mem_get_info(model.device)[0])


def fitting(each: int, free: int, rows: int = ON_GPU) -> int:
    """Return how many rows of ``each`` bytes take no more than half of the free ones: ``rows``, halved if need be."""
    while rows > 1 and 2 * rows * each > free:
        rows //= 2
    return rows


def row_bytes(config: Any, settings: Sampling) -> int:
    """Return about how many bytes a row needs on a GPU: keys and values of all layers, and its logits."""
    layers, width, heads = config.num_hidden_layers, config.hidden_size, config.num_attention_heads
    places = settings.max_tokens + 2 * settings.prompt_words + 8  # the start, a label's name
    places = min(places, getattr(config, "max_position_embeddings", None) or places)
    # In int8 a byte for each number, and a step in float64 for each head's; one layer's are made float32 at a time.
    kept = layers * (width + 8 * heads) + 4 * width if settings.precision == "int8" else 2 * layers * 4 * width
    return 2 * places * kept + COPIES * 4 * int(config.vocab_size)
