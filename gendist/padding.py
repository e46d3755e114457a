"""Rows of different lengths as one tensor."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch


class Encoded(Protocol):
    """Rows of ids, by number: a list of lists, or arrays cut from one."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def __getitem__(self, row: int, /) -> Sequence[int] | np.ndarray:
        """Return the ids of one row."""


def lengths(rows: Encoded) -> np.ndarray:
    """Return the number of ids in each row, (rows,) int64."""
    return np.fromiter((len(rows[i]) for i in range(len(rows))), np.int64)


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
