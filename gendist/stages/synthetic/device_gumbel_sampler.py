"""Gumbel-max sampling on the device of the logits, without synchronisation: filters, Philox noise and arg-max."""

from types import ModuleType

import torch

from gendist.config.sampling_settings import Sampling
from gendist.stages.synthetic import decode_kernels
from gendist.stages.synthetic.logits_filter import vocabulary_blocks

ALIGNMENT = 8
"""The number of columns of the logits is a multiple of this, for which GPUs have faster matrix products."""


class DeviceGumbelSampler:
    """Draws tokens as ``GumbelSampler`` does, in fixed shapes for CUDA graphs and without reporting unsafe draws."""

    def __init__(
        self,
        settings: Sampling,
        vocabulary: int,
        forbidden: list[int],
        device: torch.device,
        *,
        kernels: ModuleType = decode_kernels,
    ) -> None:
        """Prepare for a vocabulary.

        Args:
            settings: sampling strategy.
            vocabulary: number of tokens.
            forbidden: token ids that are never drawn, such as padding.
            device: device of the logits.
            kernels: module with the function ``draw``: PyTorch by default, or Triton.
        """
        self.settings, self.vocabulary, self.kernels = settings, vocabulary, kernels
        self.blocks = vocabulary_blocks(vocabulary)
        self.columns = -(-self.blocks[0] * self.blocks[1] // ALIGNMENT) * ALIGNMENT
        """Columns of the logits: the vocabulary, padded to whole blocks and to ``ALIGNMENT``."""
        never = [*forbidden, *range(vocabulary, self.columns)]
        self._never = torch.tensor(never, dtype=torch.int64, device=device)

    def __call__(self, scores: torch.Tensor, numbers: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        """Return the drawn tokens, (rows,).

        Args:
            scores: logits (rows, columns) float32, changed in place.
            numbers: row numbers, (rows,).
            steps: number of tokens that each row has, (rows,); negative during prefill.
        """
        scores.index_fill_(1, self._never, -torch.inf)
        if self.settings.temperature != 1.0:
            scores.div_(self.settings.temperature)
        if self.settings.top_k or self.settings.top_p < 1.0:
            scores.masked_fill_(scores < self._lowest_kept(scores), -torch.inf)
        drawn: torch.Tensor = self.kernels.draw(scores, numbers, steps, seed=self.settings.seed, blocks=self.blocks)
        return drawn

    def _lowest_kept(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the lowest score that top-k and top-p keep, (rows, 1)."""
        k = min(self.settings.top_k or self.vocabulary, self.vocabulary)
        ordered = torch.topk(scores, k, dim=1).values
        if self.settings.top_p == 1.0:
            return ordered[:, -1:]
        # Top-p applies to the tokens that top-k keeps; the most probable token is always kept.
        probabilities = torch.softmax(ordered, 1)
        before = probabilities.cumsum(1) - probabilities
        return ordered.gather(1, (before < self.settings.top_p).sum(1, keepdim=True).clamp_min(1) - 1)
