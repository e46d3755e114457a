"""Attention within whole texts, compiled, against PyTorch's in float32."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from gendist.nn import devices
from gendist.nn.int8_attention import EncoderAttention
from gendist.nn.int8_linear import ZERO_POINT
from gendist.nn.numba_math import as_float32, cast_like, njit_strict

HEADS, SIZE = 3, 8


def read(lengths, padded, products):
    """What attention reads, (tokens, width), in the compiled form."""
    codes = np.empty((len(products), HEADS * SIZE), np.uint8)
    scales = np.full(len(products), 0.5, np.float32)
    bias = np.linspace(-1, 1, products.shape[1]).astype(np.float32)
    EncoderAttention(np.array(lengths), padded, HEADS, SIZE)(products, bias, scales, codes)
    return (codes.astype(np.float32) - ZERO_POINT) * scales[:, None]


def expected(lengths, products):
    """The same from PyTorch, a text at a time."""
    numbers = torch.from_numpy(0.5 * products + np.linspace(-1, 1, products.shape[1])).float()
    parts = []
    for text in numbers.split(list(lengths)):
        query, key, value = text.view(len(text), 3, HEADS, SIZE).permute(1, 2, 0, 3)
        parts.append(functional.scaled_dot_product_attention(query, key, value).transpose(0, 1).flatten(1))
    return torch.cat(parts).numpy()


def products(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return (2 * rng.standard_normal((sum(lengths), 3 * HEADS * SIZE))).astype(np.float32)


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("lengths, padded", [((5, 16, 1), 16), ((48, 33), 48), ((7, 2), 11)])
def test_attention_is_that_of_pytorch(native, lengths, padded, monkeypatch):
    monkeypatch.setattr(devices, "cpu_has_bf16", lambda: native)
    made = products(lengths)
    exact = expected(lengths, made)
    error = np.abs(read(lengths, padded, made) - exact)
    rounding = np.abs(exact).max(1, keepdims=True) / 127 / 2  # to bytes, by token
    assert (error <= rounding + (0.03 if native else 1e-5)).all()


def test_attention_of_a_text_does_not_depend_on_the_batch():
    lengths = 9, 20, 14
    made = products(lengths)
    together = read(lengths, 32, made)
    alone = read((20,), 32, made[9:29])
    assert np.array_equal(alone, together[9:29])


def test_large_attention_scores_do_not_overflow():
    made = products((6, 3))
    made[:, : 2 * HEADS * SIZE] *= 1000.0
    assert np.isfinite(read((6, 3), 16, made)).all()


@njit_strict
def _there_and_back(x, narrow, wide):
    for i in range(x.shape[0]):
        narrow[i] = cast_like(x[i], narrow)
        wide[i] = as_float32(narrow[i])


def test_bf16_is_rounded_as_pytorch_rounds_it():
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(10_000) * 10.0 ** rng.integers(-20, 20, 10_000)).astype(np.float32)
    x[:4] = 1.00390625, 1.01171875, 0.0, -0.0  # halfway between two, and zeros
    narrow, wide = np.empty(len(x), np.uint16), np.empty_like(x)
    _there_and_back(x, narrow, wide)
    theirs = torch.from_numpy(x).bfloat16()
    assert np.array_equal(narrow, theirs.view(torch.uint16).numpy())
    assert np.array_equal(wide, theirs.float().numpy())
    same = np.empty_like(x)
    _there_and_back(x, same, wide)
    assert np.array_equal(same, x) and np.array_equal(wide, x)
