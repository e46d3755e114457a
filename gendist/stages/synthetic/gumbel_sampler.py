"""Draw the next token from logits by the Gumbel-max trick, and report draws that rounding could change.

A token is drawn in two Gumbel-max steps: a block of the vocabulary by its total probability, then a token of the block.
By the chain rule this is exactly the categorical distribution, with about 2 sqrt(V) noise values instead of V.

Logits differ in the last digits with batch size, thread count and device. A draw whose winner leads by less than
``MARGIN`` is reported as unsafe, for the caller to repeat it with float64 logits; safe draws are the same everywhere.
"""

import numpy as np
import torch

from gendist.config.sampling_settings import Sampling
from gendist.stages.synthetic.logits_filter import FilteredLogits, LogitsFilter, mask_below, score_margin
from gendist.stages.synthetic.numba_logits_filter import NumbaLogitsFilter
from gendist.stages.synthetic.philox import gumbel_noise


class GumbelSampler:
    """Draws tokens for rows of a pool, with noise that depends on seed, row and step."""

    def __init__(self, settings: Sampling, vocabulary: int, forbidden: list[int]) -> None:
        """Prepare for a vocabulary; ``forbidden`` ids (padding and the like) are never drawn."""
        self.settings = settings
        self.logits_filter = LogitsFilter(settings, vocabulary, forbidden)
        self.numba_logits_filter = NumbaLogitsFilter(settings, vocabulary, forbidden)
        self.blocks, self.block_size = self.logits_filter.blocks, self.logits_filter.block_size

    def draw(self, logits: torch.Tensor, rows: np.ndarray, steps: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the drawn tokens (rows,) and whether each is safe from rounding (rows,).

        Args:
            logits: of the next token, (rows, vocabulary) float32 or float64.
            rows: row numbers in the pool, (rows,).
            steps: number of tokens that each row has, (rows,).
        """
        values = gumbel_noise(self.settings.seed, rows, steps, self.blocks + self.block_size)
        noise = torch.from_numpy(values).to(logits.device, logits.dtype)
        filter_logits = self.numba_logits_filter if self.numba_logits_filter.supports(logits) else self.logits_filter
        return self._draw(filter_logits(logits), noise)

    @property
    def margin(self) -> float:
        """Lead of the winner's score, in nats, below which rounding could change a draw."""
        return score_margin(self.settings)

    def _draw(self, filtered: FilteredLogits, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw from the kept tokens.

        Which tokens a filter keeps depends on rounding, too. A draw is safe if all sets between the certain and the
        possible one give the same token: the winner's lowest score beats the highest score of every other.
        """
        row = torch.arange(len(noise), device=noise.device)
        block_noise, token_noise = noise[:, : self.blocks], noise[:, self.blocks :]
        block_scores = filtered.block_log_probs + block_noise  # (rows, blocks)
        block = block_scores.argmax(1)
        scores = filtered.scores[row, block]
        certain, kept, possible = filtered.bounds or (None, None, None)
        token_scores = mask_below(scores, kept) + token_noise  # (rows, block size)
        index = token_scores.argmax(1)
        low_block, high_blocks = block_scores[row, block], block_scores
        low_token, high_tokens = token_scores[row, index], token_scores
        if filtered.bounds is not None:
            certain_scores = mask_below(scores, certain)
            log_prob = torch.logsumexp(certain_scores, 1) - filtered.log_total[:, 0]
            low_block = log_prob + block_noise[row, block]
            high_blocks = filtered.max_block_log_probs + block_noise
            low_token = (certain_scores + token_noise)[row, index]
            high_tokens = mask_below(scores, possible) + token_noise
        lead = torch.minimum(low_block - _runner_up(high_blocks, block), low_token - _runner_up(high_tokens, index))
        return block * self.block_size + index, lead > self.margin


def _runner_up(scores: torch.Tensor, winner: torch.Tensor) -> torch.Tensor:
    return scores.scatter(1, winner[:, None], -torch.inf).amax(1)
