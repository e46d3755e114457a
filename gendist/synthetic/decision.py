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

from gendist.synthetic.noise import gumbel
from gendist.synthetic.settings import Sampling

MARGIN = 1e-3
"""Nats. Over 10 times the float32 error of the logits of GPT-2 and BERT shapes (a test measures it);
about one token in 700 falls below it."""


class TokenChooser:
    """Draws tokens for rows of a pool."""

    def __init__(self, settings: Sampling, vocabulary: int, forbidden: list[int]) -> None:
        """Prepare for a vocabulary; ``forbidden`` ids (padding and the like) are never drawn."""
        self.settings = settings
        self.vocabulary = vocabulary
        self.block = math.ceil(math.sqrt(vocabulary))
        self.blocks = math.ceil(vocabulary / self.block)
        self.forbidden = forbidden

    def choose(self, logits: torch.Tensor, rows: np.ndarray, steps: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the chosen tokens and whether each is safe, both of shape (rows,).

        Args:
            logits: of the next token, shape (rows, vocabulary), float32 or float64.
            rows: row number in the pool, shape (rows,).
            steps: tokens that each row has so far, shape (rows,).
        """
        draws = gumbel(self.settings.seed, rows, steps, self.blocks + self.block)
        noise = torch.from_numpy(draws).to(logits.device, logits.dtype)
        scores = logits / self.settings.temperature
        if self.forbidden:
            scores[:, self.forbidden] = -torch.inf
        if not self.settings.top_k and self.settings.top_p == 1.0:
            return self._draw(scores, scores, scores, noise)
        narrow, border, wide = self._borders(scores)
        return self._draw(_above(scores, border), _above(scores, narrow), _above(scores, wide), noise)

    def _draw(
        self, kept: torch.Tensor, fewest: torch.Tensor, most: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw from the kept scores; the rest, each (rows, vocabulary), says how wrong rounding can have been.

        Which tokens a filter keeps is a decision too. A draw is safe if every set between the
        ``fewest`` and the ``most`` that may be kept gives the same: the winner at its lowest
        beats all others at their highest.
        """
        row = torch.arange(len(kept), device=kept.device)
        block_noise, token_noise = noise[:, : self.blocks], noise[:, self.blocks :]
        blocks = self._blocks(kept)
        totals = torch.logsumexp(blocks, 2) + block_noise  # (rows, blocks)
        block = totals.argmax(1)
        within = blocks[row, block] + token_noise  # (rows, tokens of the block)
        place = within.argmax(1)
        low_total, high_totals, low_score, high_scores = totals[row, block], totals, within[row, place], within
        if fewest is not kept:
            low, high = self._blocks(fewest), self._blocks(most)
            low_total = torch.logsumexp(low[row, block], 1) + block_noise[row, block]
            high_totals = torch.logsumexp(high, 2) + block_noise
            low_score = low[row, block, place] + token_noise[row, place]
            high_scores = high[row, block] + token_noise
        lead = torch.minimum(low_total - _best_other(high_totals, block), low_score - _best_other(high_scores, place))
        return block * self.block + place, lead > MARGIN

    def _blocks(self, scores: torch.Tensor) -> torch.Tensor:
        padding = self.blocks * self.block - self.vocabulary
        return torch.nn.functional.pad(scores, (0, padding), value=-torch.inf).unflatten(1, (self.blocks, self.block))

    def _borders(self, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the lowest scores that top-k and top-p keep, (rows, 1) each: narrowed, exact, widened."""
        ordered = _descending(scores)
        if self.settings.top_k and self.settings.top_k < self.vocabulary:
            ordered = ordered[:, : self.settings.top_k]  # top-p then shares out what top-k has left
        border = ordered[:, -1:]
        if self.settings.top_p == 1.0:
            return border + MARGIN, border, border - MARGIN
        probabilities = torch.softmax(ordered, 1)
        before = torch.cumsum(probabilities, 1) - probabilities
        narrow, exact, wide = (
            # The most probable token always stays.
            ordered.gather(1, (before < self.settings.top_p + slack).sum(1, keepdim=True).clamp_min(1) - 1)
            for slack in (-MARGIN, 0.0, MARGIN)
        )
        return narrow + MARGIN, exact, wide - MARGIN


def _above(scores: torch.Tensor, border: torch.Tensor) -> torch.Tensor:
    best = scores.max(1, keepdim=True).values
    return scores.masked_fill(scores < torch.minimum(border, best), -torch.inf)


def _descending(scores: torch.Tensor) -> torch.Tensor:
    if scores.device.type == "cpu":
        # numpy sorts values without their places, with vector instructions: ten times as fast.
        return torch.from_numpy(-np.sort(-scores.numpy(), axis=1))
    return torch.sort(scores, dim=1, descending=True).values


def _best_other(scores: torch.Tensor, winner: torch.Tensor) -> torch.Tensor:
    return scores.scatter(1, winner[:, None], -torch.inf).amax(1)
