"""Choose the next token from logits and noise, and say when rounding could have changed the choice.

The token is drawn in two Gumbel-max steps: first a block of the vocabulary by its total
probability, then a token within it. By the chain rule this is exactly the categorical
distribution, and it needs about 2 sqrt(V) noise values in place of V.

Logits differ in the last digits with batch size, thread count and device. A choice whose
winner leads by less than ``MARGIN`` is therefore reported as unsafe, for the caller to
settle from logits in float64; all others are the same everywhere.
"""

import math

import numpy as np
import torch
from torch.nn import functional

from gendist.synthetic.noise import gumbel
from gendist.synthetic.settings import Sampling

MARGIN = 1e-3
"""Nats. Over 10 times the float32 error of the logits of GPT-2 and BERT shapes (a test measures it);
about one token in 700 falls below it."""
NEAR = 1e-5
"""Nats below its bound at which a token still counts as reaching it: bounds come by another way than shares do."""
HEAD = 4096
"""Scores of a row that are sorted first to find a nucleus."""


class TokenChooser:
    """Draws tokens for rows of a pool."""

    def __init__(self, settings: Sampling, vocabulary: int, forbidden: list[int]) -> None:
        """Prepare for a vocabulary; ``forbidden`` ids (padding and the like) are never drawn."""
        self.settings = settings
        self.vocabulary = vocabulary
        self.block = math.ceil(math.sqrt(vocabulary))
        self.blocks = math.ceil(vocabulary / self.block)
        self.forbidden = forbidden
        self._memory = self._shares = self._total = torch.empty(0, 0)
        """Of the last call: scores and probabilities in whole blocks, and the logarithm of each row's sum."""

    def choose(self, logits: torch.Tensor, rows: np.ndarray, steps: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the chosen tokens and whether each is safe, both of shape (rows,).

        Args:
            logits: of the next token, shape (rows, vocabulary), float32 or float64.
            rows: row number in the pool, shape (rows,).
            steps: tokens that each row has so far, shape (rows,).
        """
        draws = gumbel(self.settings.seed, rows, steps, self.blocks + self.block)
        noise = torch.from_numpy(draws).to(logits.device, logits.dtype)
        scores = self._scores(logits)
        bounds = None if not self.settings.top_k and self.settings.top_p == 1.0 else self._bounds(scores)
        return self._draw(scores, bounds, noise)

    def _scores(self, logits: torch.Tensor) -> torch.Tensor:
        """Divide by the temperature; forbidden tokens have no chance. The result lasts until the next call."""
        rows = len(logits)
        if self._memory.shape[0] < rows or self._memory.dtype != logits.dtype or self._memory.device != logits.device:
            # In memory that stays: padding, and fresh memory, would take as long as the division.
            self._memory = logits.new_full((rows, self.blocks * self.block), -torch.inf)
        scores = self._memory[:rows, : self.vocabulary]
        torch.div(logits, self.settings.temperature, out=scores)
        if self.forbidden:
            scores[:, self.forbidden] = -torch.inf
        self._shares = torch.softmax(self._memory[:rows], 1)
        self._total = scores.amax(1, keepdim=True) - self._shares.amax(1, keepdim=True).log()
        return scores

    def _draw(
        self, scores: torch.Tensor, bounds: tuple[torch.Tensor, ...] | None, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw from the scores (rows, vocabulary) that reach a bound, or from all.

        Which tokens a filter keeps is a decision too. A draw is safe if all sets between those
        that are surely and those that are possibly kept give the same: the winner at its
        lowest beats every other at its highest.
        """
        row = torch.arange(len(scores), device=scores.device)
        block_noise, token_noise = noise[:, : self.blocks], noise[:, self.blocks :]
        totals = self._totals(None if bounds is None else bounds[1]) + block_noise  # (rows, blocks)
        block = totals.argmax(1)
        inside = self._memory[: len(scores)].unflatten(1, (self.blocks, self.block))[row, block]
        within = _reaching(inside, None if bounds is None else bounds[1]) + token_noise  # (rows, tokens of the block)
        place = within.argmax(1)
        low_total, high_totals, low_score, high_scores = totals[row, block], totals, within[row, place], within
        if bounds is not None:
            surely, _, possibly = bounds
            low_total = torch.logsumexp(_reaching(inside, surely), 1) - self._total[:, 0] + block_noise[row, block]
            high_totals = self._totals(possibly) + block_noise
            low_score = (_reaching(inside, surely) + token_noise)[row, place]
            high_scores = _reaching(inside, possibly) + token_noise
        lead = torch.minimum(low_total - _best_other(high_totals, block), low_score - _best_other(high_scores, place))
        return block * self.block + place, lead > self.margin

    def _totals(self, bound: torch.Tensor | None) -> torch.Tensor:
        """Return the log probability of the tokens of each block, (rows, blocks), that reach a bound, or of all."""
        shares = self._shares.unflatten(1, (self.blocks, self.block))
        if bound is None:
            return shares.sum(2).log()
        least = torch.exp(bound - NEAR - self._total).clamp_min(1e-30)  # below, no noise of 32 bits makes up for it
        # The one operation that picks fast: where and masked_fill take ten times as long on a CPU.
        reaching = functional.threshold(shares / least[..., None], 1.0, 0.0)
        return (reaching.sum(2) * least).log()

    @property
    def margin(self) -> float:
        """``MARGIN`` of the logits, in scores: a temperature below 1 spreads the rounding error too."""
        return MARGIN / min(1.0, self.settings.temperature)

    def _bounds(self, scores: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the least scores, (rows, 1), that top-k and top-p keep whatever the rounding, keep here, may keep."""
        if self.settings.top_k:
            return self._bounds_within(scores, self._total, min(self.settings.top_k, self.vocabulary))[:3]
        # A nucleus is mostly small: only where the head of the distribution falls short, all of it is sorted.
        *bounds, counts = self._bounds_within(scores, self._total, min(HEAD, self.vocabulary))
        short = torch.nonzero(counts[:, 0] >= HEAD).flatten()
        if len(short):
            wide = self._bounds_within(scores[short], self._total[short], self.vocabulary)
            for bound, found in zip(bounds, wide, strict=False):
                bound[short] = found
        return tuple(bounds)

    def _bounds_within(self, scores: torch.Tensor, total: torch.Tensor, head: int) -> tuple[torch.Tensor, ...]:
        """Return the bounds, each (rows, 1), as far as the ``head`` highest scores tell, and how many may be kept."""
        ordered = _descending(scores, min(head + 1, self.vocabulary))
        fewest = exact = most = torch.full((len(scores), 1), head, device=scores.device)
        if self.settings.top_p < 1.0:
            # Top-p shares out what top-k has left; the most probable token always stays.
            if self.settings.top_k:
                total = torch.logsumexp(ordered[:, :head], 1, keepdim=True)
            probabilities = torch.exp(ordered[:, :head] - total)
            before = torch.cumsum(probabilities, 1) - probabilities
            slacks = before.new_tensor([-self.margin, 0.0, self.margin]) + self.settings.top_p
            found = torch.searchsorted(before, slacks.expand(len(before), 3).contiguous())  # how many are below
            fewest, exact, most = found.clamp_min(1).split(1, dim=1)
        if ordered.shape[1] == head:  # nothing is left out
            ordered = functional.pad(ordered, (0, 1), value=-torch.inf)
        # Where all is kept, down to minus infinity, a bound far below the best does as well and can be added to.
        low = ordered[:, :1] - 100
        bounds = (
            ordered.gather(1, fewest) + self.margin,
            ordered.gather(1, exact - 1),
            ordered.gather(1, most - 1) - self.margin,
        )
        return *(torch.maximum(bound, low) for bound in bounds), most


def _reaching(scores: torch.Tensor, bound: torch.Tensor | None) -> torch.Tensor:
    """Return the scores (rows, tokens) that reach their row's bound (rows, 1), and minus infinity for others."""
    return scores if bound is None else scores.masked_fill(scores < bound - NEAR, -torch.inf)


def _descending(scores: torch.Tensor, count: int) -> torch.Tensor:
    """Return the ``count`` highest scores of each row (rows, vocabulary), the highest first."""
    if scores.device.type == "cpu":
        # numpy selects and sorts values without their places, with vector instructions: ten times as fast.
        negative = -scores.numpy()
        if count < negative.shape[1]:
            negative = np.partition(negative, count, axis=1)[:, :count]
        return torch.from_numpy(-np.sort(negative, axis=1))
    return torch.topk(scores, count, dim=1).values


def _best_other(scores: torch.Tensor, winner: torch.Tensor) -> torch.Tensor:
    return scores.scatter(1, winner[:, None], -torch.inf).amax(1)
