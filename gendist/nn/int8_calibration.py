"""Int8 calibration: which layers of a causal language model need 16-bit inputs, by KL divergence from float32."""

from collections.abc import Sequence
from typing import Any

import torch

from gendist.nn.int8_decoder import Int8Decoder
from gendist.nn.int8_decoder_numba import create_int8_decoder
from gendist.nn.int8_options import Int8Options
from gendist.nn.padding import pad_batch
from gendist.nn.transformer_parts import LINEAR_KINDS, supports_decoding

MAX_DIVERGENCE = 0.005
"""Accepted KL divergence from float32, in nats per token: less than a hundredth of the gain from finetuning."""
CANDIDATES = tuple(
    Int8Options(two_pass, stochastic) for two_pass in ((), ("down",), LINEAR_KINDS) for stochastic in (True, False)
)
"""Options in the order they are tried. Stochastic rounding suits the packaged generator, whose weights were in int8
before finetuning; rounding to the nearest, others. The second layers of feed-forward blocks have the largest errors
(outliers of GELU outputs); 16-bit inputs of all layers leave those of the weights."""
MAX_ROWS, MAX_TOKENS = 16, 64
"""Rows of the calibration set, and their first tokens."""


def calibrate_int8(model: Any, rows: Sequence[list[int]]) -> tuple[Int8Options | None, float]:
    """Find the fastest int8 options with which a causal language model is close to float32.

    Args:
        model: float32 model in evaluation mode, on any device.
        rows: token ids of the calibration texts, start token included; the first few are used.

    Returns:
        The first of ``CANDIDATES`` whose divergence is below ``MAX_DIVERGENCE``, and that divergence in nats
        per token. The first is None if no candidate is, or if the architecture is not supported in int8, for which the
        divergence is infinite.
    """
    nats = float("inf")
    if supports_decoding(model.config):
        for options in CANDIDATES:
            nats = int8_divergence(model, create_int8_decoder(model, options), rows)
            if nats < MAX_DIVERGENCE:
                return options, nats
    return None, nats


@torch.inference_mode()
def int8_divergence(model: Any, decoder: Int8Decoder, rows: Sequence[list[int]]) -> float:
    """Return the mean KL divergence of the next token's distribution, int8 from float32, in nats per token."""
    ids, mask = (part.to(model.device) for part in pad_batch([row[:MAX_TOKENS] for row in rows[:MAX_ROWS]]))
    float32_logits = model(input_ids=ids, attention_mask=mask).logits
    cache, total = decoder.empty_cache(*ids.shape), 0.0
    for position in range(ids.shape[1]):
        states = decoder.step(ids[:, position], torch.full_like(ids[:, 0], position), cache)
        both = float32_logits[:, position], decoder.logits(states)
        expected, quantized = (torch.log_softmax(logits.double(), 1) for logits in both)
        total += float(((expected.exp() * (expected - quantized)).sum(1) * mask[:, position]).sum())
    return total / float(mask.sum())
