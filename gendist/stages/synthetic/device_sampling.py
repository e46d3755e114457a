"""Sampling where the logits are: filters, counter-based noise and arg-max, without waiting for the CPU."""

import math

import torch

from gendist.config.sampling_settings import Sampling

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_LOW = 0xFFFFFFFF
ALIGNMENT = 8
"""Columns of the scores are a multiple of this: GPUs multiply matrices of other sizes by slower kernels."""


def philox_words(seed: int, rows: torch.Tensor, steps: torch.Tensor, count: int) -> torch.Tensor:
    """Return 32-bit words as int64, (rows, count), those of ``noise.philox4x32`` in the order in which noise uses them.

    Words are held in 64 bits: a product of two has 64, whose upper half comes out right by a shift and a mask, though
    the sign is wrong.
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
    for _ in range(10):
        first, second = words[0] * _MULTIPLIERS[0], words[2] * _MULTIPLIERS[1]
        words = [
            (second >> 32 & _LOW) ^ words[1] ^ key[0],
            second & _LOW,
            (first >> 32 & _LOW) ^ words[3] ^ key[1],
            first & _LOW,
        ]
        key = [(part + step) & _LOW for part, step in zip(key, _KEY_STEPS, strict=True)]
    return torch.stack(words, 2).flatten(1)[:, :count]


def gumbel_on_device(seed: int, rows: torch.Tensor, steps: torch.Tensor, count: int) -> torch.Tensor:
    """Return standard Gumbel noise of shape (rows, count), float32: that of ``noise.gumbel`` but for its last digits.

    Args:
        seed: pool seed, 0 to 2**64 - 1.
        rows: row number of each sequence, (rows,) int64.
        steps: token position of each sequence, (rows,) int64.
        count: noise values wanted for each sequence.
    """
    words = philox_words(seed, rows, steps, count)
    uniform = (words.float() + 0.5) * 2.0**-32
    rest = ((_LOW - words).float() + 0.5) * 2.0**-32  # 1 - uniform, which float32 rounds to 0 where that is near 1
    return -torch.log(torch.where(words <= _LOW // 2, -torch.log(uniform), -torch.log1p(-rest)))


class GumbelSampler:
    """Draws tokens as ``TokenChooser`` does, first a block of the vocabulary, then a token in it, and settles nothing.

    All shapes are fixed and nothing is read by the CPU, so that a CUDA graph can capture it.
    """

    def __init__(self, settings: Sampling, vocabulary: int, forbidden: list[int], device: torch.device) -> None:
        """Prepare for a vocabulary; ``forbidden`` ids (padding and the like) are never drawn."""
        self.settings, self.vocabulary = settings, vocabulary
        self.block = math.ceil(math.sqrt(vocabulary))
        self.blocks = math.ceil(vocabulary / self.block)
        self.columns = -(-self.blocks * self.block // ALIGNMENT) * ALIGNMENT
        """Columns of the scores: the vocabulary, and what fills its last block up."""
        never = [*forbidden, *range(vocabulary, self.columns)]
        self._never = torch.tensor(never, dtype=torch.int64, device=device)

    def noise(self, rows: torch.Tensor, steps: torch.Tensor, window: int) -> torch.Tensor:
        """Return the noise of some steps in a row, (window, rows, noise values) float32.

        Args:
            rows: row number of each sequence, (rows,).
            steps: tokens that each has before the first of the steps, (rows,); below 0 while a prompt is read.
            window: number of steps.
        """
        following = (steps + torch.arange(window, device=steps.device)[:, None]).clamp_min(0).flatten()
        noise = gumbel_on_device(self.settings.seed, rows.repeat(window), following, self.blocks + self.block)
        return noise.unflatten(0, (window, len(rows)))

    def __call__(self, scores: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Return a token for each row, (rows,).

        Args:
            scores: logits (rows, columns) float32, which are changed in place.
            noise: of one step, (rows, noise values).
        """
        scores.index_fill_(1, self._never, -torch.inf)
        if self.settings.temperature != 1.0:
            scores.div_(self.settings.temperature)
        if self.settings.top_k or self.settings.top_p < 1.0:
            scores.masked_fill_(scores < self._lowest_kept(scores), -torch.inf)
        shares = self._in_blocks(torch.softmax(scores, 1))
        block = (shares.sum(2).log() + noise[:, : self.blocks]).argmax(1)
        row = torch.arange(len(scores), device=scores.device)
        inside = self._in_blocks(scores)[row, block] + noise[:, self.blocks :]
        return block * self.block + inside.argmax(1)

    def _in_blocks(self, scores: torch.Tensor) -> torch.Tensor:
        """Fold (rows, columns) to (rows, blocks, tokens of a block)."""
        return scores[:, : self.blocks * self.block].unflatten(1, (self.blocks, self.block))

    def _lowest_kept(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the lowest score that top-k and top-p keep, (rows, 1)."""
        head = min(self.settings.top_k or self.vocabulary, self.vocabulary)
        ordered = torch.topk(scores, head, dim=1).values
        if self.settings.top_p == 1.0:
            return ordered[:, -1:]
        # Top-p shares out what top-k has left; the most probable token always stays.
        shares = torch.softmax(ordered, 1)
        before = shares.cumsum(1) - shares
        return ordered.gather(1, (before < self.settings.top_p).sum(1, keepdim=True).clamp_min(1) - 1)
