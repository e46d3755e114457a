"""What the next tokens weigh after temperature, top-k and top-p: in torch, on any device and in float64."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from gendist.config.sampling_settings import Sampling

MARGIN = 1e-3
"""Nats. Over 10 times the float32 error of the logits of GPT-2 and BERT shapes (a test measures it);
about one token in 700 falls below it."""
NEAR = 1e-5
"""Nats below its bound at which a token still counts as reaching it: bounds come by another way than shares do."""
FAR = 100
"""Nats below the best score under which a bound is not set: such tokens are never drawn."""

Bounds = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Weighed:
    """What each block of the vocabulary weighs, and each token in it, for some rows."""

    scores: torch.Tensor
    """Logits over the temperature, minus infinity for tokens that are never drawn: (rows, blocks, tokens)."""
    total: torch.Tensor
    """Logarithm of the sum of their exponentials, (rows, 1)."""
    totals: torch.Tensor
    """Log probability of each block's tokens that are kept here, (rows, blocks)."""
    most: torch.Tensor
    """The same of those that may be kept, whatever the rounding."""
    bounds: Bounds | None
    """Least scores, (rows, 1), that are surely kept, kept here, and possibly kept; none if all are."""


def margin(settings: Sampling) -> float:
    """``MARGIN`` of the logits, in scores: a temperature below 1 spreads the rounding error too."""
    return MARGIN / min(1.0, settings.temperature)


def reaching(scores: torch.Tensor, bound: torch.Tensor | None) -> torch.Tensor:
    """Return the scores (rows, tokens) that reach their row's bound (rows, 1), and minus infinity for others."""
    return scores if bound is None else scores.masked_fill(scores < bound - NEAR, -torch.inf)


class Weigher:
    """Weighs the vocabulary, in blocks of as many tokens as there are blocks."""

    def __init__(self, settings: Sampling, vocabulary: int, blocks: int, block: int, forbidden: list[int]) -> None:
        """Prepare for a vocabulary in ``blocks`` of ``block`` tokens; ``forbidden`` ids are never drawn."""
        self.settings = settings
        self.vocabulary, self.blocks, self.block = vocabulary, blocks, block
        self.forbidden = forbidden
        self._memory: dict[torch.dtype, torch.Tensor] = {}
        self._constants: dict[tuple[float, ...], torch.Tensor] = {}

    def __call__(self, logits: torch.Tensor) -> Weighed:
        """Weigh the logits (rows, vocabulary); the result lasts until the next call."""
        memory = self.memory(logits)
        scores = memory[:, : self.vocabulary]
        torch.div(logits, self.settings.temperature, out=scores)
        if self.forbidden:
            scores.index_fill_(1, self._constant(self.forbidden, logits.device), -torch.inf)
        shares = torch.softmax(memory, 1)
        total = scores.amax(1, keepdim=True) - shares.amax(1, keepdim=True).log()
        folded = memory.unflatten(1, (self.blocks, self.block)), total
        shares = shares.unflatten(1, (self.blocks, self.block))
        bounds = None if not self.settings.top_k and self.settings.top_p == 1.0 else self._bounds(scores, total)
        if bounds is None:
            totals = shares.sum(2).log()
            return Weighed(*folded, totals, totals, None)
        totals, most = (_totals(shares, bound, total) for bound in bounds[1:])
        return Weighed(*folded, totals, most, bounds)

    def memory(self, logits: torch.Tensor) -> torch.Tensor:
        """Return room for the scores (rows, blocks * block), padded with minus infinity.

        It stays: padding, and fresh memory, would take as long as the division.
        """
        rows, size, kept = len(logits), self.blocks * self.block, self._memory.get(logits.dtype)
        if kept is None or len(kept) < rows or kept.device != logits.device:
            self._memory[logits.dtype] = kept = logits.new_full((rows, size), -torch.inf)
        return kept[:rows]

    def _constant(self, values: Sequence[float], device: torch.device) -> torch.Tensor:
        """Return numbers that stay on a device: copying them there at every step would stop a GPU."""
        key = tuple(values)
        if key not in self._constants or self._constants[key].device != device:
            self._constants[key] = torch.from_numpy(np.array(values)).to(device)
        return self._constants[key]

    def _bounds(self, scores: torch.Tensor, total: torch.Tensor) -> Bounds:
        """Return the least scores, (rows, 1), that top-k and top-p keep whatever the rounding, keep here, may keep."""
        head = min(self.settings.top_k or self.vocabulary, self.vocabulary)
        ordered = torch.topk(scores, min(head + 1, self.vocabulary), dim=1).values
        fewest = exact = most = torch.full((len(scores), 1), head, device=scores.device)
        limit = margin(self.settings)
        if self.settings.top_p < 1.0:
            # Top-p shares out what top-k has left; the most probable token always stays.
            if self.settings.top_k:
                total = torch.logsumexp(ordered[:, :head], 1, keepdim=True)
            probabilities = torch.exp(ordered[:, :head] - total)
            before = torch.cumsum(probabilities, 1) - probabilities
            ends = [self.settings.top_p + slack for slack in (-limit, 0.0, limit)]
            slacks = self._constant(ends, before.device).to(before.dtype)
            found = torch.searchsorted(before, slacks.expand(len(before), 3).contiguous())  # how many are below
            fewest, exact, most = found.clamp_min(1).split(1, dim=1)
        if ordered.shape[1] == head:  # nothing is left out
            ordered = functional.pad(ordered, (0, 1), value=-torch.inf)
        # Where all is kept, down to minus infinity, a bound far below the best does as well and can be added to.
        low = ordered[:, :1] - FAR
        return (
            torch.maximum(ordered.gather(1, fewest) + limit, low),
            torch.maximum(ordered.gather(1, exact - 1), low),
            torch.maximum(ordered.gather(1, most - 1) - limit, low),
        )


def _totals(shares: torch.Tensor, bound: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
    """Return the log probability of the tokens of each block, (rows, blocks), that reach a bound (rows, 1)."""
    least = torch.exp(bound - NEAR - total).clamp_min(1e-30)  # below, no noise of 32 bits makes up for it
    # The one operation that picks fast: where and masked_fill take ten times as long on a CPU.
    kept = functional.threshold(shares / least[..., None], 1.0, 0.0)
    return (kept.sum(2) * least).log()
