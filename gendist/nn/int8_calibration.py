"""Int8 calibration: which layers of a causal language model need 16-bit inputs, by KL divergence from float32."""

from collections.abc import Sequence
from typing import Any

import torch

from gendist.nn.int8_decoder import Int8Decoder
from gendist.nn.int8_decoder_numba import create_int8_decoder
from gendist.nn.padding import pad_batch
from gendist.nn.transformer_parts import LINEAR_KINDS, supports_decoding

MAX_DIVERGENCE = 0.005
"""Accepted KL divergence from float32, in nats per token: less than a hundredth of the gain from finetuning."""
TWO_PASS_CANDIDATES: tuple[tuple[str, ...], ...] = ((), ("down",), LINEAR_KINDS)
"""Kinds of linear layers with 16-bit inputs, in the order they are tried. The second layers of feed-forward blocks have
the largest errors (outliers of GELU outputs); 16-bit inputs of all layers leave almost no error."""
MAX_ROWS, MAX_TOKENS, BATCH_SIZE = 16, 64, 4
"""Rows of the calibration set, their first tokens, and rows per batch, whose logits have to fit in memory."""


def calibrate_int8(model: Any, rows: Sequence[list[int]]) -> tuple[tuple[str, ...] | None, float]:
    """Find the layers of a causal language model that need 16-bit inputs in int8.

    Args:
        model: float32 model in evaluation mode, on any device.
        rows: token ids of the calibration texts, start token included; the first few are used.

    Returns:
        The first of ``TWO_PASS_CANDIDATES`` whose divergence is below ``MAX_DIVERGENCE``, and that divergence in nats
        per token. The first is None if no candidate is, or if the architecture is not supported in int8, for which the
        divergence is infinite.
    """
    nats = float("inf")
    if supports_decoding(model.config):
        for two_pass in TWO_PASS_CANDIDATES:
            nats = int8_divergence(model, create_int8_decoder(model, two_pass), rows)
            if nats < MAX_DIVERGENCE:
                return two_pass, nats
    return None, nats


@torch.inference_mode()
def int8_divergence(model: Any, decoder: Int8Decoder, rows: Sequence[list[int]]) -> float:
    """Return the mean KL divergence of the next token's distribution, int8 from float32, in nats per token."""
    total, count = 0.0, 0.0
    rows = [row[:MAX_TOKENS] for row in rows[:MAX_ROWS]]
    for first in range(0, len(rows), BATCH_SIZE):
        ids, mask = (part.to(model.device) for part in pad_batch(rows[first : first + BATCH_SIZE]))
        float32_logits = model(input_ids=ids, attention_mask=mask).logits
        cache = decoder.empty_cache(*ids.shape)
        for position in range(ids.shape[1]):
            states = decoder.step(ids[:, position], torch.full_like(ids[:, 0], position), cache)
            both = float32_logits[:, position], decoder.logits(states)
            expected, quantized = (torch.log_softmax(logits.double(), 1) for logits in both)
            is_token = mask[:, position]
            total += float(((expected.exp() * (expected - quantized)).sum(1) * is_token).sum())
            count += float(is_token.sum())
    return total / count
