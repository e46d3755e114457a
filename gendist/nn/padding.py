"""Padding of token sequences to one tensor."""

from collections.abc import Sequence

import numpy as np
import torch


def pad_batch(
    rows: Sequence[Sequence[int] | np.ndarray], padding: int = 0, width: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and attention mask, (rows, longest) int64 each, padded on the right.

    Args:
        rows: token ids of each row.
        padding: id of the padding token.
        width: length to pad to; that of the longest row by default.
    """
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    mask = np.arange(width or lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, padding, np.int64)
    ids[mask] = np.concatenate([np.asarray(row, np.int64) for row in rows])
    return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))
