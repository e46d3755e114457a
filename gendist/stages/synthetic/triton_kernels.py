"""The functions of ``decode_kernels`` as Triton kernels: each reads its inputs once.

A row's result does not depend on the other slots: each slot has its own program. Triton comes with PyTorch for GPUs on
Linux, and needs a C compiler at run time.
"""

# mypy: ignore-errors

from typing import Any

import torch
import triton
from triton import language as tl

from gendist.stages.synthetic.philox import KEY_INCREMENTS, MULTIPLIERS, ROUNDS

POSITIONS_PER_TILE = 32
BLOCKS_PER_TILE = 4
"""Positions of a KV cache, and blocks of a vocabulary, that a program reads at once."""
WARPS = 1
"""Of attention and the draw: with more, their reductions wait for each other (on an H100, the draw takes 2.4 times as
long with 4)."""


@triton.jit
def _attend(
    qkv,
    positions,
    keys,
    values,
    output,
    capacity,
    scale,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    PADDED: tl.constexpr,
    TILE: tl.constexpr,
):
    head, slot = tl.program_id(0), tl.program_id(1)
    column = tl.arange(0, PADDED)
    inside = column < WIDTH
    first = qkv + slot.to(tl.int64) * (3 * HEADS * WIDTH) + head * WIDTH + column
    query = tl.load(first, inside, 0.0).to(tl.float32) * scale
    key = tl.load(first + HEADS * WIDTH, inside, 0.0)
    value = tl.load(first + 2 * HEADS * WIDTH, inside, 0.0)
    position = tl.load(positions + slot)
    start = (slot.to(tl.int64) * HEADS + head) * capacity * WIDTH
    tl.store(keys + start + position * WIDTH + column, key, inside)
    tl.store(values + start + position * WIDTH + column, value, inside)
    # Online softmax (Milakov and Gimelshein, 2018), which starts with the new token.
    largest = tl.sum(query * key.to(tl.float32), 0)
    total = 1.0
    result = value.to(tl.float32)
    tile = 0
    while tile < position:
        past = tile + tl.arange(0, TILE)
        known = past < position
        offsets = start + past[:, None] * WIDTH + column[None, :]
        mask = known[:, None] & inside[None, :]
        past_keys = tl.load(keys + offsets, mask, 0.0).to(tl.float32)
        past_values = tl.load(values + offsets, mask, 0.0).to(tl.float32)
        scores = tl.where(known, tl.sum(query[None, :] * past_keys, 1), float("-inf"))
        larger = tl.maximum(largest, tl.max(scores, 0))
        shrink = tl.exp(largest - larger)
        weights = tl.exp(scores - larger)
        total = total * shrink + tl.sum(weights, 0)
        result = result * shrink + tl.sum(weights[:, None] * past_values, 0)
        largest = larger
        tile += TILE
    result = result / total
    tl.store(output + (slot.to(tl.int64) * HEADS + head) * WIDTH + column, result.to(output.dtype.element_ty), inside)


def attend(qkv: torch.Tensor, positions: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """See ``decode_kernels.attend``."""
    slots, heads, capacity, width = keys.shape
    output = torch.empty(slots, heads * width, dtype=qkv.dtype, device=qkv.device)
    sizes = {"HEADS": heads, "WIDTH": width, "PADDED": triton.next_power_of_2(width), "TILE": POSITIONS_PER_TILE}
    _attend[(heads, slots)](qkv, positions, keys, values, output, capacity, width**-0.5, **sizes, num_warps=WARPS)
    return output


@triton.jit
def _add_and_normalise(
    x, update, weight, bias, stream, normalised, eps, WIDTH: tl.constexpr, PADDED: tl.constexpr, POST: tl.constexpr
):
    slot = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, PADDED)
    inside = column < WIDTH
    at = slot * WIDTH + column
    total = tl.load(x + at, inside, 0.0) + tl.load(update + at, inside, 0.0).to(tl.float32)
    mean = tl.sum(total, 0) / WIDTH
    centred = tl.where(inside, total - mean, 0.0)
    deviation = tl.sqrt(tl.sum(centred * centred, 0) / WIDTH + eps)
    result = centred / deviation * tl.load(weight + column, inside, 0.0) + tl.load(bias + column, inside, 0.0)
    tl.store(stream + at, result if POST else total, inside)
    tl.store(normalised + at, result.to(normalised.dtype.element_ty), inside)


def add_and_normalise(
    x: torch.Tensor, update: torch.Tensor, norm: Any, *, post_norm: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """See ``decode_kernels.add_and_normalise``; ``x`` is updated in place."""
    slots, width = x.shape
    normalised = torch.empty_like(update)
    sizes = {"WIDTH": width, "PADDED": triton.next_power_of_2(width), "POST": post_norm}
    _add_and_normalise[(slots,)](x, update, norm.weight, norm.bias, x, normalised, norm.eps, **sizes, num_warps=4)
    return x, normalised


_M0, _M1 = (tl.constexpr(multiplier) for multiplier in MULTIPLIERS)
_I0, _I1 = (tl.constexpr(increment) for increment in KEY_INCREMENTS)
_ROUNDS = tl.constexpr(ROUNDS)


@triton.jit
def _gumbel_noise(index, number, step, key0, key1):
    """Return the noise values ``index`` of one row, as ``philox.gumbel_noise`` in float32."""
    c0 = (number & 0xFFFFFFFF).to(tl.uint32) + tl.zeros_like(index).to(tl.uint32)
    c1 = (number >> 32).to(tl.uint32) + tl.zeros_like(c0)
    c2 = step.to(tl.uint32) + tl.zeros_like(c0)
    c3 = (index // 4).to(tl.uint32)
    key0, key1 = key0.to(tl.uint32), key1.to(tl.uint32)
    m0, m1 = tl.full(c0.shape, _M0, tl.uint32), tl.full(c0.shape, _M1, tl.uint32)
    for _ in tl.static_range(_ROUNDS):
        high0, low0, high1, low1 = tl.umulhi(c0, m0), c0 * m0, tl.umulhi(c2, m1), c2 * m1
        c0, c1, c2, c3 = high1 ^ c1 ^ key0, low1, high0 ^ c3 ^ key1, low0
        key0, key1 = key0 + tl.full((), _I0, tl.uint32), key1 + tl.full((), _I1, tl.uint32)
    word = tl.where(index % 4 == 0, c0, tl.where(index % 4 == 1, c1, tl.where(index % 4 == 2, c2, c3)))
    uniform = (word.to(tl.float32) + 0.5) * 2.3283064365386963e-10
    rest = ((tl.full(word.shape, 0xFFFFFFFF, tl.uint32) - word).to(tl.float32) + 0.5) * 2.3283064365386963e-10
    near_one = 1.0 - rest
    # log1p, because 1 - rest is rounded (Goldberg 1991, theorem 4).
    log1p = tl.where(near_one == 1.0, rest, -tl.log(near_one) * rest / (1.0 - near_one))
    return -tl.log(tl.where(word <= 0x7FFFFFFF, -tl.log(uniform), log1p))


@triton.jit(do_not_specialize=["key0", "key1"])
def _draw(
    scores,
    numbers,
    steps,
    tokens,
    columns,
    key0,
    key1,
    BLOCKS: tl.constexpr,
    SIZE: tl.constexpr,
    PADDED: tl.constexpr,
    TILE: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    number, step = tl.load(numbers + row), tl.maximum(tl.load(steps + row), 0)
    column = tl.arange(0, PADDED)
    best, chosen = float("-inf"), 0
    for tile in range(0, BLOCKS, TILE):
        block = tile + tl.arange(0, TILE)
        mask = (block < BLOCKS)[:, None] & (column < SIZE)[None, :]
        part = tl.load(scores + row * columns + block[:, None] * SIZE + column[None, :], mask, float("-inf"))
        largest = tl.max(part, 1)
        finite = tl.where(largest == float("-inf"), 0.0, largest)
        total = finite + tl.log(tl.sum(tl.exp(part - finite[:, None]), 1))
        noisy = total + _gumbel_noise(block, number, step, key0, key1)
        top = tl.max(noisy, 0)
        chosen = tl.where(top > best, tile + tl.argmax(noisy, 0), chosen)
        best = tl.maximum(best, top)
    part = tl.load(scores + row * columns + chosen * SIZE + column, column < SIZE, float("-inf"))
    token = tl.argmax(part + _gumbel_noise(BLOCKS + column, number, step, key0, key1), 0)
    tl.store(tokens + row, (chosen * SIZE + token).to(tl.int64))


def draw(
    scores: torch.Tensor, numbers: torch.Tensor, steps: torch.Tensor, *, seed: int, blocks: tuple[int, int]
) -> torch.Tensor:
    """See ``decode_kernels.draw``."""
    rows, columns = scores.shape
    count, size = blocks
    tokens = torch.empty(rows, dtype=torch.int64, device=scores.device)
    sizes = {"BLOCKS": count, "SIZE": size, "PADDED": triton.next_power_of_2(size), "TILE": BLOCKS_PER_TILE}
    key0, key1 = seed & 0xFFFFFFFF, seed >> 32
    _draw[(rows,)](scores, numbers, steps, tokens, columns, key0, key1, **sizes, num_warps=WARPS)
    return tokens
