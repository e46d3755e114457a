"""The noise of ``noise.py``, computed where the logits are: a GPU need not wait for the CPU."""

import torch

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_LOW = 0xFFFFFFFF


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
    """Return standard Gumbel noise of shape (rows, count), float64: that of ``noise.gumbel`` but for its last digits.

    Args:
        seed: pool seed, 0 to 2**64 - 1.
        rows: row number of each sequence, (rows,) int64.
        steps: token position of each sequence, (rows,) int64.
        count: noise values wanted for each sequence.
    """
    uniform = (philox_words(seed, rows, steps, count).double() + 0.5) * 2.0**-32
    return -torch.log(-torch.log(uniform))
