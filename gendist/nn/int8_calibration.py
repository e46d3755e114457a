"""How far the probabilities of a model in integers are from those in float32."""

from collections.abc import Sequence
from typing import Any

import torch

from gendist.nn.int8_decoder import Decoder
from gendist.nn.int8_decoder_numba import decoder_for
from gendist.nn.padding import padded
from gendist.nn.transformer_parts import LINEAR, can_decode

LIMIT = 0.005
"""Nats per token that are taken for nothing: less than a hundredth of what finetuning brings."""
TWO_PASS: tuple[tuple[str, ...], ...] = ((), ("down",), LINEAR)
"""Linear layers whose inputs are rounded to 16 bits, in the order in which they are tried. The second layers of
feed-forward blocks err most (outliers behind GELU); with all of them in 16 bits, hardly anything is left to err."""
ROWS, PLACES, AT_ONCE = 16, 64, 4
"""Rows to compare on, their first tokens, and rows side by side: their logits need memory."""


def layers_in_two_passes(model: Any, rows: Sequence[list[int]]) -> tuple[tuple[str, ...] | None, float]:
    """Find the layers of a causal language model that need 16-bit inputs for it to be run in integers.

    Args:
        model: in float32 and evaluation mode, on any device.
        rows: tokens of texts, the start token included; the first few are used.

    Returns:
        The first of ``TWO_PASS`` that stays within ``LIMIT``, and by how many nats per token it differs from float32;
        None if none does, or for architectures that cannot be run in integers (then with infinity).
    """
    nats = float("inf")
    if can_decode(model.config):
        for two_pass in TWO_PASS:
            nats = divergence(model, decoder_for(model, two_pass), rows)
            if nats < LIMIT:
                return two_pass, nats
    return None, nats


@torch.inference_mode()
def divergence(model: Any, decoder: Decoder, rows: Sequence[list[int]]) -> float:
    """Return the mean Kullback-Leibler divergence of the next token, float32 from integers, in nats."""
    total, places = 0.0, 0.0
    rows = [row[:PLACES] for row in rows[:ROWS]]
    for first in range(0, len(rows), AT_ONCE):
        ids, mask = (part.to(model.device) for part in padded(rows[first : first + AT_ONCE]))
        exact = model(input_ids=ids, attention_mask=mask).logits
        cache = decoder.empty_cache(*ids.shape)
        for place in range(ids.shape[1]):
            ours = decoder.logits(decoder.step(ids[:, place], torch.full_like(ids[:, 0], place), cache))
            expected, found = (torch.log_softmax(logits.double(), 1) for logits in (exact[:, place], ours))
            inside = mask[:, place]
            total += float(((expected.exp() * (expected - found)).sum(1) * inside).sum())
            places += float(inside.sum())
    return total / places
