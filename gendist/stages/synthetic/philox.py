"""Counter-based randomness: every number is a function of (seed, row, step, index) alone.

Philox4x32-10 (Salmon et al. 2011, Parallel Random Numbers: As Easy as 1, 2, 3) in numpy
integers: the same bits on every machine, in any order, without any state to carry.
"""

import numpy as np

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_WORD = np.uint64(32)
_PICK_STEP = 2**32 - 1
"""A step that no token has: its noise is left for ``picks``."""


def philox4x32(counter: tuple[np.ndarray, ...], key: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Return four arrays of 32-bit words (as uint64) for four arrays of counter words and a key."""
    c0, c1, c2, c3 = (np.asarray(c, np.uint64) for c in counter)
    k0, k1 = key
    for _ in range(10):
        low0, low1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            (low1 >> _WORD) ^ c1 ^ np.uint64(k0),
            low1 & _LOW,
            (low0 >> _WORD) ^ c3 ^ np.uint64(k1),
            low0 & _LOW,
        )
        k0, k1 = (k0 + _KEY_STEPS[0]) & 0xFFFFFFFF, (k1 + _KEY_STEPS[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


def gumbel(seed: int, rows: np.ndarray, steps: np.ndarray, count: int) -> np.ndarray:
    """Return standard Gumbel noise of shape (rows, count), float64.

    Args:
        seed: pool seed, 0 to 2**64 - 1.
        rows: row number of each sequence, shape (rows,).
        steps: token position of each sequence, shape (rows,), below 2**32 - 1.
        count: noise values wanted for each sequence.
    """
    blocks = np.arange((count + 3) // 4, dtype=np.uint64)
    rows, steps = np.asarray(rows, np.uint64)[:, None], np.asarray(steps, np.uint64)[:, None]
    counter = np.broadcast_arrays(rows & _LOW, rows >> _WORD, steps, blocks[None, :])
    words = np.stack(philox4x32(tuple(counter), (seed & 0xFFFFFFFF, seed >> 32)), axis=-1)
    uniform = (words.reshape(len(rows), -1)[:, :count].astype(np.float64) + 0.5) * 2.0**-32
    return -np.log(-np.log(uniform))


def picks(seed: int, rows: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return a number from 0 to ``counts - 1`` for each row, all equally likely, shape (rows,), int64.

    They are independent of the Gumbel noise of the same rows.

    Args:
        seed: pool seed, 0 to 2**64 - 1.
        rows: row numbers, shape (rows,).
        counts: numbers to pick from, shape (rows,), 1 to 2**32 - 1.
    """
    rows = np.asarray(rows, np.uint64)
    step, index = np.full_like(rows, _PICK_STEP), np.zeros_like(rows)
    word = philox4x32((rows & _LOW, rows >> _WORD, step, index), (seed & 0xFFFFFFFF, seed >> 32))[0]
    return (word * np.asarray(counts, np.uint64) >> _WORD).astype(np.int64)
