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

from gendist.config.sampling_settings import Sampling
from gendist.stages.synthetic.fused import FusedWeigher
from gendist.stages.synthetic.noise import gumbel
from gendist.stages.synthetic.weights import Weighed, Weigher, margin, reaching


class TokenChooser:
    """Draws tokens for rows of a pool."""

    def __init__(self, settings: Sampling, vocabulary: int, forbidden: list[int]) -> None:
        """Prepare for a vocabulary; ``forbidden`` ids (padding and the like) are never drawn."""
        self.settings = settings
        self.block = math.ceil(math.sqrt(vocabulary))
        self.blocks = math.ceil(vocabulary / self.block)
        sizes = vocabulary, self.blocks, self.block
        self.weigher = Weigher(settings, *sizes, forbidden)
        self.fused_weigher = FusedWeigher(settings, *sizes, forbidden)

    def choose(self, logits: torch.Tensor, rows: np.ndarray, steps: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the chosen tokens and whether each is safe, both of shape (rows,).

        Args:
            logits: of the next token, shape (rows, vocabulary), float32 or float64.
            rows: row number in the pool, shape (rows,).
            steps: tokens that each row has so far, shape (rows,).
        """
        draws = gumbel(self.settings.seed, rows, steps, self.blocks + self.block)
        noise = torch.from_numpy(draws).to(logits.device, logits.dtype)
        weigh = self.fused_weigher if self.fused_weigher.takes(logits) else self.weigher
        return self._draw(weigh(logits), noise)

    @property
    def margin(self) -> float:
        """Lead in scores, in nats, below which rounding could change a choice."""
        return margin(self.settings)

    def _draw(self, weighed: Weighed, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw from the tokens that reach a bound, or from all.

        Which tokens a filter keeps is a decision too. A draw is safe if all sets between those
        that are surely and those that are possibly kept give the same: the winner at its
        lowest beats every other at its highest.
        """
        row = torch.arange(len(noise), device=noise.device)
        block_noise, token_noise = noise[:, : self.blocks], noise[:, self.blocks :]
        totals = weighed.totals + block_noise  # (rows, blocks)
        block = totals.argmax(1)
        inside = weighed.scores[row, block]
        surely, here, possibly = weighed.bounds or (None, None, None)
        within = reaching(inside, here) + token_noise  # (rows, tokens of the block)
        place = within.argmax(1)
        low_total, high_totals, low_score, high_scores = totals[row, block], totals, within[row, place], within
        if weighed.bounds is not None:
            sure = reaching(inside, surely)
            low_total = torch.logsumexp(sure, 1) - weighed.total[:, 0] + block_noise[row, block]
            high_totals = weighed.most + block_noise
            low_score = (sure + token_noise)[row, place]
            high_scores = reaching(inside, possibly) + token_noise
        lead = torch.minimum(low_total - _best_other(high_totals, block), low_score - _best_other(high_scores, place))
        return block * self.block + place, lead > self.margin


def _best_other(scores: torch.Tensor, winner: torch.Tensor) -> torch.Tensor:
    return scores.scatter(1, winner[:, None], -torch.inf).amax(1)
