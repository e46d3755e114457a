"""Counter-based random numbers: each is a function of (seed, row, step, index).

Philox4x32-10 (Salmon et al. 2011, Parallel Random Numbers: As Easy as 1, 2, 3) in NumPy integers: the same bits on
every machine and in any order, without a state.
"""

import numpy as np

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_INCREMENTS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
_MULTIPLIERS = tuple(map(np.uint64, MULTIPLIERS))
_LOW = np.uint64(0xFFFFFFFF)
_WORD = np.uint64(32)
_INDEX_STEP = 2**32 - 1
"""Step reserved for ``random_indices``: no row has as many tokens."""


def philox4x32(counter: tuple[np.ndarray, ...], key: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Return four arrays of 32-bit words (as uint64) for four arrays of counter words and a key."""
    c0, c1, c2, c3 = (np.asarray(c, np.uint64) for c in counter)
    k0, k1 = key
    for _ in range(ROUNDS):
        low0, low1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            (low1 >> _WORD) ^ c1 ^ np.uint64(k0),
            low1 & _LOW,
            (low0 >> _WORD) ^ c3 ^ np.uint64(k1),
            low0 & _LOW,
        )
        k0, k1 = (k0 + KEY_INCREMENTS[0]) & 0xFFFFFFFF, (k1 + KEY_INCREMENTS[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


def gumbel_noise(seed: int, rows: np.ndarray, steps: np.ndarray, count: int) -> np.ndarray:
    """Return standard Gumbel noise, (rows, count) float64.

    Args:
        seed: pool seed, 0 to 2**64 - 1.
        rows: row numbers, (rows,).
        steps: number of tokens that each row has, (rows,), below 2**32 - 1.
        count: noise values per row.
    """
    blocks = np.arange((count + 3) // 4, dtype=np.uint64)
    rows, steps = np.asarray(rows, np.uint64)[:, None], np.asarray(steps, np.uint64)[:, None]
    counter = np.broadcast_arrays(rows & _LOW, rows >> _WORD, steps, blocks[None, :])
    words = np.stack(philox4x32(tuple(counter), (seed & 0xFFFFFFFF, seed >> 32)), axis=-1)
    uniform = (words.reshape(len(rows), -1)[:, :count].astype(np.float64) + 0.5) * 2.0**-32
    return -np.log(-np.log(uniform))


def random_indices(seed: int, rows: np.ndarray, counts: np.ndarray, draw: int = 0) -> np.ndarray:
    """Return a uniform random integer from 0 to ``counts - 1`` for each row, (rows,) int64.

    It is independent of the row's Gumbel noise.

    Args:
        seed: pool seed, 0 to 2**64 - 1.
        rows: row numbers, (rows,).
        counts: (rows,), 1 to 2**32 - 1.
        draw: number of the draw; draws of a row are independent.
    """
    rows = np.asarray(rows, np.uint64)
    step, index = np.full_like(rows, _INDEX_STEP), np.full_like(rows, draw)
    word = philox4x32((rows & _LOW, rows >> _WORD, step, index), (seed & 0xFFFFFFFF, seed >> 32))[0]
    return (word * np.asarray(counts, np.uint64) >> _WORD).astype(np.int64)
