"""Gumbel-max sampling on the device of the logits, without synchronisation: filters, Philox noise and arg-max."""

import torch

from gendist.config.sampling_settings import Sampling
from gendist.stages.synthetic.logits_filter import vocabulary_blocks
from gendist.stages.synthetic.philox import KEY_INCREMENTS, MULTIPLIERS, ROUNDS

_LOW = 0xFFFFFFFF
ALIGNMENT = 8
"""The number of columns of the logits is a multiple of this, for which GPUs have faster matrix products."""


def philox_words(seed: int, rows: torch.Tensor, steps: torch.Tensor, count: int) -> torch.Tensor:
    """Return the 32-bit words of ``philox.philox4x32`` as int64, (rows, count), in the order that the noise uses.

    A product of two words is taken in 64 bits; its sign may be wrong, which the mask after the shift removes.
    """
    blocks = (count + 3) // 4
    shape = (len(rows), blocks)
    key = [seed & _LOW, seed >> 32]
    words = [
        (rows & _LOW)[:, None].expand(shape),
        (rows >> 32)[:, None].expand(shape),
        steps[:, None].expand(shape),
        torch.arange(blocks, device=rows.device).expand(shape),
    ]
    for _ in range(ROUNDS):
        first, second = words[0] * MULTIPLIERS[0], words[2] * MULTIPLIERS[1]
        words = [
            (second >> 32 & _LOW) ^ words[1] ^ key[0],
            second & _LOW,
            (first >> 32 & _LOW) ^ words[3] ^ key[1],
            first & _LOW,
        ]
        key = [(part + increment) & _LOW for part, increment in zip(key, KEY_INCREMENTS, strict=True)]
    return torch.stack(words, 2).flatten(1)[:, :count]


def gumbel_noise_on_device(seed: int, rows: torch.Tensor, steps: torch.Tensor, count: int) -> torch.Tensor:
    """Return the noise of ``philox.gumbel_noise`` in float32, (rows, count), on the device of ``rows``.

    Args:
        seed: pool seed, 0 to 2**64 - 1.
        rows: row numbers, (rows,) int64.
        steps: number of tokens that each row has, (rows,) int64.
        count: noise values per row.
    """
    words = philox_words(seed, rows, steps, count)
    uniform = (words.float() + 0.5) * 2.0**-32
    rest = ((_LOW - words).float() + 0.5) * 2.0**-32  # 1 - uniform, which float32 rounds to 0 near 1
    return -torch.log(torch.where(words <= _LOW // 2, -torch.log(uniform), -torch.log1p(-rest)))


class DeviceGumbelSampler:
    """Draws tokens as ``GumbelSampler`` does, in fixed shapes for CUDA graphs and without reporting unsafe draws."""

    def __init__(self, settings: Sampling, vocabulary: int, forbidden: list[int], device: torch.device) -> None:
        """Prepare for a vocabulary; ``forbidden`` ids (padding and the like) are never drawn."""
        self.settings, self.vocabulary = settings, vocabulary
        self.blocks, self.block_size = vocabulary_blocks(vocabulary)
        self.columns = -(-self.blocks * self.block_size // ALIGNMENT) * ALIGNMENT
        """Columns of the logits: the vocabulary, padded to whole blocks and to ``ALIGNMENT``."""
        never = [*forbidden, *range(vocabulary, self.columns)]
        self._never = torch.tensor(never, dtype=torch.int64, device=device)

    def noise(self, rows: torch.Tensor, steps: torch.Tensor, window: int) -> torch.Tensor:
        """Return the noise of consecutive decode steps, (window, rows, noise values) float32.

        Args:
            rows: row numbers, (rows,).
            steps: number of tokens that each row has before the first step, (rows,); negative during prefill.
            window: number of steps.
        """
        following = (steps + torch.arange(window, device=steps.device)[:, None]).clamp_min(0).flatten()
        noise = gumbel_noise_on_device(
            self.settings.seed, rows.repeat(window), following, self.blocks + self.block_size
        )
        return noise.unflatten(0, (window, len(rows)))

    def __call__(self, scores: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Return the drawn tokens, (rows,).

        Args:
            scores: logits (rows, columns) float32, changed in place.
            noise: of one step, (rows, noise values).
        """
        scores.index_fill_(1, self._never, -torch.inf)
        if self.settings.temperature != 1.0:
            scores.div_(self.settings.temperature)
        if self.settings.top_k or self.settings.top_p < 1.0:
            scores.masked_fill_(scores < self._lowest_kept(scores), -torch.inf)
        probabilities = self._in_blocks(torch.softmax(scores, 1))
        block = (probabilities.sum(2).log() + noise[:, : self.blocks]).argmax(1)
        row = torch.arange(len(scores), device=scores.device)
        token_scores = self._in_blocks(scores)[row, block] + noise[:, self.blocks :]
        return block * self.block_size + token_scores.argmax(1)

    def _in_blocks(self, scores: torch.Tensor) -> torch.Tensor:
        """Reshape (rows, columns) to (rows, blocks, block size)."""
        return scores[:, : self.blocks * self.block_size].unflatten(1, (self.blocks, self.block_size))

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
