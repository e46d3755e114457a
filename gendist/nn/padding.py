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
    longest = width or max(map(len, rows))
    ids = torch.full((len(rows), longest), padding, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.as_tensor(row)
        mask[i, : len(row)] = 1
    return ids, mask
