"""Temperature, top-k and top-p in PyTorch, on any device and in float32 or float64.

A filter returns bounds of the scores: above the first, a token is kept whatever the rounding of the logits; above the
second, it is kept here; above the third, it may be kept on another machine.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from gendist.config.sampling_settings import Sampling

MARGIN = 1e-3
"""Nats. Over 10 times the float32 error of GPT-2 and BERT logits (measured by a test); the lead of about one token in
700 is smaller."""
BOUND_TOLERANCE = 1e-5
"""Nats below its bound at which a token still passes: bounds and probabilities are rounded differently."""
MAX_BOUND_DISTANCE = 100
"""Nats below the best score; no bound is lower, because such tokens are never drawn."""


class ScoreBounds(NamedTuple):
    """Lowest scores that pass a filter, (rows, 1) each."""

    certain: torch.Tensor
    """Kept whatever the rounding."""
    kept: torch.Tensor
    """Kept here."""
    possible: torch.Tensor
    """Possibly kept."""


@dataclass(frozen=True)
class FilteredLogits:
    """Scores of the vocabulary in blocks, and the probability of each block."""

    scores: torch.Tensor
    """Logits divided by the temperature, -inf for forbidden tokens: (rows, blocks, block size)."""
    log_total: torch.Tensor
    """Logarithm of the sum of their exponentials, (rows, 1)."""
    block_log_probs: torch.Tensor
    """Log probability of each block's kept tokens, (rows, blocks)."""
    max_block_log_probs: torch.Tensor
    """Log probability of each block's possibly kept tokens, (rows, blocks)."""
    bounds: ScoreBounds | None
    """None if all tokens are kept."""


def score_margin(settings: Sampling) -> float:
    """``MARGIN`` of the logits as a margin of scores: a temperature below 1 scales the rounding error up."""
    return MARGIN / min(1.0, settings.temperature)


def mask_below(scores: torch.Tensor, bound: torch.Tensor | None) -> torch.Tensor:
    """Replace scores (rows, tokens) below their row's bound (rows, 1) by -inf."""
    return scores if bound is None else scores.masked_fill(scores < bound - BOUND_TOLERANCE, -torch.inf)


def vocabulary_blocks(vocabulary: int) -> tuple[int, int]:
    """Return number and size of the blocks that a vocabulary is split into, both about its square root."""
    size = math.ceil(math.sqrt(vocabulary))
    return math.ceil(vocabulary / size), size


class LogitsFilter:
    """Applies temperature, top-k and top-p, and sums probabilities by block of the vocabulary."""

    def __init__(self, settings: Sampling, vocabulary: int, forbidden: list[int]) -> None:
        """Prepare for a vocabulary; ``forbidden`` ids get probability 0."""
        self.settings, self.vocabulary, self.forbidden = settings, vocabulary, forbidden
        self.blocks, self.block_size = vocabulary_blocks(vocabulary)
        self._buffers: dict[torch.dtype, torch.Tensor] = {}
        self._constants: dict[tuple[float, ...], torch.Tensor] = {}

    def __call__(self, logits: torch.Tensor) -> FilteredLogits:
        """Filter logits (rows, vocabulary); the result shares buffers with the next call's."""
        buffer = self.score_buffer(logits)
        scores = buffer[:, : self.vocabulary]
        torch.div(logits, self.settings.temperature, out=scores)
        if self.forbidden:
            scores.index_fill_(1, self._constant(self.forbidden, logits.device), -torch.inf)
        probabilities = torch.softmax(buffer, 1)
        log_total = scores.amax(1, keepdim=True) - probabilities.amax(1, keepdim=True).log()
        block_scores = buffer.unflatten(1, (self.blocks, self.block_size))
        probabilities = probabilities.unflatten(1, (self.blocks, self.block_size))
        bounds = None if not self.settings.top_k and self.settings.top_p == 1.0 else self._bounds(scores, log_total)
        if bounds is None:
            log_probs = probabilities.sum(2).log()
            return FilteredLogits(block_scores, log_total, log_probs, log_probs, None)
        kept, possible = (_block_log_probs(probabilities, bound, log_total) for bound in bounds[1:])
        return FilteredLogits(block_scores, log_total, kept, possible, bounds)

    def score_buffer(self, logits: torch.Tensor) -> torch.Tensor:
        """Return a buffer for the scores (rows, blocks * block size), padded with -inf.

        It is reused: allocating and padding it would take as long as the division.
        """
        rows, size, buffer = len(logits), self.blocks * self.block_size, self._buffers.get(logits.dtype)
        if buffer is None or len(buffer) < rows or buffer.device != logits.device:
            self._buffers[logits.dtype] = buffer = logits.new_full((rows, size), -torch.inf)
        return buffer[:rows]

    def _constant(self, values: Sequence[float], device: torch.device) -> torch.Tensor:
        """Return a cached tensor of constants: copying them at every step would synchronise a GPU."""
        key = tuple(values)
        if key not in self._constants or self._constants[key].device != device:
            self._constants[key] = torch.from_numpy(np.array(values)).to(device)
        return self._constants[key]

    def _bounds(self, scores: torch.Tensor, log_total: torch.Tensor) -> ScoreBounds:
        """Return the bounds of top-k and top-p."""
        k = min(self.settings.top_k or self.vocabulary, self.vocabulary)
        ordered = torch.topk(scores, min(k + 1, self.vocabulary), dim=1).values
        certain = kept = possible = torch.full((len(scores), 1), k, device=scores.device)  # numbers of tokens
        margin = score_margin(self.settings)
        if self.settings.top_p < 1.0:
            # Top-p applies to the tokens that top-k keeps; the most probable token is always kept.
            if self.settings.top_k:
                log_total = torch.logsumexp(ordered[:, :k], 1, keepdim=True)
            probabilities = torch.exp(ordered[:, :k] - log_total)
            before = torch.cumsum(probabilities, 1) - probabilities
            ends = [self.settings.top_p + slack for slack in (-margin, 0.0, margin)]
            limits = self._constant(ends, before.device).to(before.dtype)
            counts = torch.searchsorted(before, limits.expand(len(before), 3).contiguous())
            certain, kept, possible = counts.clamp_min(1).split(1, dim=1)
        if ordered.shape[1] == k:  # top-k keeps the whole vocabulary
            ordered = functional.pad(ordered, (0, 1), value=-torch.inf)
        lowest = ordered[:, :1] - MAX_BOUND_DISTANCE  # finite, so that margins can be added
        return ScoreBounds(
            torch.maximum(ordered.gather(1, certain) + margin, lowest),
            torch.maximum(ordered.gather(1, kept - 1), lowest),
            torch.maximum(ordered.gather(1, possible - 1) - margin, lowest),
        )


def _block_log_probs(probabilities: torch.Tensor, bound: torch.Tensor, log_total: torch.Tensor) -> torch.Tensor:
    """Return the log probability of each block's tokens, (rows, blocks), whose scores reach a bound (rows, 1)."""
    lowest = torch.exp(bound - BOUND_TOLERANCE - log_total).clamp_min(1e-30)  # no noise makes up for less
    # threshold is ten times as fast on a CPU as where and masked_fill.
    kept = functional.threshold(probabilities / lowest[..., None], 1.0, 0.0)
    return (kept.sum(2) * lowest).log()
