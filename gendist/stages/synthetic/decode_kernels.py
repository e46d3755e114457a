"""The memory-bound parts of a decode step in plain PyTorch: attention, residual connections and drawing.

``triton_kernels`` has faster versions of the same functions for GPUs.
"""

from typing import Any

import torch
from torch.nn import functional

from gendist.stages.synthetic.philox import KEY_INCREMENTS, MULTIPLIERS, ROUNDS

_LOW = 0xFFFFFFFF


def attend(qkv: torch.Tensor, positions: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Append a token of each slot to its KV cache and return its attention over it, (slots, heads * head width).

    Args:
        qkv: query, key and value of the token, (slots, 3 * heads * head width).
        positions: position of the token in its row, (slots,). Later positions of the cache are ignored.
        keys: (slots, heads, positions, head width), updated in place.
        values: like ``keys``.
    """
    slots, heads, capacity, width = keys.shape
    query, key, value = qkv.view(slots, 3, heads, width).unbind(1)
    indices = (torch.arange(slots * heads, device=keys.device) * capacity).view(slots, heads) + positions[:, None]
    keys.view(-1, width).index_copy_(0, indices.flatten(), key.reshape(-1, width))
    values.view(-1, width).index_copy_(0, indices.flatten(), value.reshape(-1, width))
    causal_mask = (torch.arange(capacity, device=keys.device) <= positions[:, None])[:, None, None]
    return functional.scaled_dot_product_attention(query[:, :, None], keys, values, causal_mask).reshape(slots, -1)


def add_and_normalise(
    x: torch.Tensor, update: torch.Tensor, norm: Any, *, post_norm: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Add a layer's output to the residual stream and normalise the sum.

    Args:
        x: residual stream, (slots, width) float32; may be overwritten.
        update: output of attention or of the feed-forward layer, (slots, width).
        norm: ``transformer_parts.Norm``.
        post_norm: whether the normalised sum becomes the residual stream, as in BERT.

    Returns:
        The residual stream, and the normalised sum in the type of ``update``.
    """
    total = x + update
    normalised = norm(total)
    return normalised if post_norm else total, normalised.to(update.dtype)


def draw(
    scores: torch.Tensor, numbers: torch.Tensor, steps: torch.Tensor, *, seed: int, blocks: tuple[int, int]
) -> torch.Tensor:
    """Draw a token of each row by Gumbel-max: first a block of the vocabulary, then a token in it; (rows,) int64.

    Args:
        scores: filtered logits, (rows, columns) float32; -inf for columns that are never drawn.
        numbers: row numbers in the pool, (rows,) int64.
        steps: number of tokens that each row has, (rows,) int64; negative during prefill, where the draw is unused.
        seed: pool seed, 0 to 2**64 - 1.
        blocks: number and size of the vocabulary's blocks; later columns are ignored.
    """
    count, size = blocks
    noise = gumbel_noise_on_device(seed, numbers, steps.clamp_min(0), count + size)
    in_blocks = scores[:, : count * size].unflatten(1, blocks)
    block = (torch.logsumexp(in_blocks, 2) + noise[:, :count]).argmax(1)
    token_scores = in_blocks[torch.arange(len(scores), device=scores.device), block] + noise[:, count:]
    return block * size + token_scores.argmax(1)


def philox_words(seed: int, rows: torch.Tensor, steps: torch.Tensor, count: int) -> torch.Tensor:
    """Return the 32-bit words of ``philox.philox4x32`` as int64, (rows, count), in the order that the noise uses.

    A product of two words is taken in 64 bits; its sign may be wrong, which the mask after the shift removes.
    """
    blocks = (count + 3) // 4
    shape = (len(rows), blocks)
    key = [seed & _LOW, seed >> 32]
    words = [
        (rows & _LOW)[:, None].expand(shape),
        (rows >> 32)[:, None].expand(shape),
        steps[:, None].expand(shape),
        torch.arange(blocks, device=rows.device).expand(shape),
    ]
    for _ in range(ROUNDS):
        first, second = words[0] * MULTIPLIERS[0], words[2] * MULTIPLIERS[1]
        words = [
            (second >> 32 & _LOW) ^ words[1] ^ key[0],
            second & _LOW,
            (first >> 32 & _LOW) ^ words[3] ^ key[1],
            first & _LOW,
        ]
        key = [(part + increment) & _LOW for part, increment in zip(key, KEY_INCREMENTS, strict=True)]
    return torch.stack(words, 2).flatten(1)[:, :count]


def gumbel_noise_on_device(seed: int, rows: torch.Tensor, steps: torch.Tensor, count: int) -> torch.Tensor:
    """Return the noise of ``philox.gumbel_noise`` in float32, (rows, count), on the device of ``rows``.

    Args:
        seed: pool seed, 0 to 2**64 - 1.
        rows: row numbers, (rows,) int64.
        steps: number of tokens that each row has, (rows,) int64.
        count: noise values per row.
    """
    words = philox_words(seed, rows, steps, count)
    uniform = (words.float() + 0.5) * 2.0**-32
    rest = ((_LOW - words).float() + 0.5) * 2.0**-32  # 1 - uniform, which float32 rounds to 0 near 1
    return -torch.log(torch.where(words <= _LOW // 2, -torch.log(uniform), -torch.log1p(-rest)))
