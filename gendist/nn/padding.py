"""Rows of different lengths as one tensor."""

from collections.abc import Sequence

import numpy as np
import torch


def padded(
    rows: Sequence[Sequence[int] | np.ndarray], padding: int = 0, width: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and attention mask, each (rows, longest) or (rows, width), padded on the right."""
    longest = width or max(map(len, rows))
    ids = torch.full((len(rows), longest), padding, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.as_tensor(row)
        mask[i, : len(row)] = 1
    return ids, mask
