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
        surely, exactly, possibly = (scores.masked_fill(~kept, -torch.inf) for kept in self._kept(scores))
        return self._draw(exactly, surely, possibly, noise)

    def _draw(
        self, kept: torch.Tensor, surely: torch.Tensor, possibly: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw from the kept scores; all scores (rows, vocabulary), -inf where not kept.

        Which tokens a filter keeps is a decision too. A draw is safe if all sets between those
        that are ``surely`` and those that are ``possibly`` kept give the same: the winner at its
        lowest beats every other at its highest.
        """
        row = torch.arange(len(kept), device=kept.device)
        block_noise, token_noise = noise[:, : self.blocks], noise[:, self.blocks :]
        blocks = self._blocks(kept)
        totals = torch.logsumexp(blocks, 2) + block_noise  # (rows, blocks)
        block = totals.argmax(1)
        within = blocks[row, block] + token_noise  # (rows, tokens of the block)
        place = within.argmax(1)
        low_total, high_totals, low_score, high_scores = totals[row, block], totals, within[row, place], within
        if surely is not kept:
            low, high = self._blocks(surely), self._blocks(possibly)
            low_total = torch.logsumexp(low[row, block], 1) + block_noise[row, block]
            high_totals = torch.logsumexp(high, 2) + block_noise
            low_score = low[row, block, place] + token_noise[row, place]
            high_scores = high[row, block] + token_noise
        lead = torch.minimum(low_total - _best_other(high_totals, block), low_score - _best_other(high_scores, place))
        return block * self.block + place, lead > self.margin

    @property
    def margin(self) -> float:
        """``MARGIN`` of the logits, in scores: a temperature below 1 spreads the rounding error too."""
        return MARGIN / min(1.0, self.settings.temperature)

    def _blocks(self, scores: torch.Tensor) -> torch.Tensor:
        padding = self.blocks * self.block - self.vocabulary
        return torch.nn.functional.pad(scores, (0, padding), value=-torch.inf).unflatten(1, (self.blocks, self.block))

    def _kept(self, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return which tokens top-k and top-p keep whatever the rounding, keep here, and may keep."""
        ordered = _descending(scores)
        counts = [torch.full((len(scores), 1), self.settings.top_k or self.vocabulary, device=scores.device)] * 3
        if self.settings.top_p < 1.0:
            # Top-p shares out what top-k has left; the most probable token always stays.
            probabilities = torch.softmax(ordered[:, : self.settings.top_k or None], 1)
            before = torch.cumsum(probabilities, 1) - probabilities
            slacks = (-self.margin, 0.0, self.margin)
            counts = [(before < self.settings.top_p + s).sum(1, keepdim=True).clamp_min(1) for s in slacks]
        fewest, exact, most = (count.clamp_max(self.vocabulary) for count in counts)
        first_out = torch.nn.functional.pad(ordered, (0, 1), value=-torch.inf).gather(1, fewest)
        return (
            scores > first_out + self.margin,
            scores >= ordered.gather(1, exact - 1),
            scores >= ordered.gather(1, most - 1) - self.margin,
        )


def _descending(scores: torch.Tensor) -> torch.Tensor:
    if scores.device.type == "cpu":
        # numpy sorts values without their places, with vector instructions: ten times as fast.
        return torch.from_numpy(-np.sort(-scores.numpy(), axis=1))
    return torch.sort(scores, dim=1, descending=True).values


def _best_other(scores: torch.Tensor, winner: torch.Tensor) -> torch.Tensor:
    return scores.scatter(1, winner[:, None], -torch.inf).amax(1)
