"""Piece ids of many texts in one array; Python lists take ten times as much memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
import torch


@dataclass(frozen=True)
class PieceIds:
    """Ragged rows of piece ids; ``pieces[i]`` are the ids of text i, (pieces,) int32."""

    ids: np.ndarray
    """(all pieces,) int32, concatenated texts."""
    ends: np.ndarray
    """(texts,) int64: end offset of each text in ``ids``."""

    @classmethod
    def of(cls, rows: Sequence[Sequence[int] | np.ndarray]) -> "PieceIds":
        """Pack lists of ids."""
        flat = np.fromiter(chain.from_iterable(rows), np.int32)
        return cls(flat, np.cumsum([len(row) for row in rows], dtype=np.int64))

    @classmethod
    def joined(cls, parts: Sequence["PieceIds"]) -> "PieceIds":
        """Concatenate the texts of all parts."""
        if not parts:
            return cls.of([])
        starts = np.cumsum([0, *(len(part.ids) for part in parts[:-1])])
        ends = [part.ends + start for part, start in zip(parts, starts, strict=True)]
        return cls(np.concatenate([part.ids for part in parts]), np.concatenate(ends))

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.ends)

    def __getitem__(self, text: int) -> np.ndarray:
        """Return the ids of one text."""
        return self.ids[self.ends[text - 1] if text else 0 : self.ends[text]]

    @cached_property
    def lengths(self) -> np.ndarray:
        """Return the number of pieces of each text, (texts,) int64."""
        return np.diff(self.ends, prepend=0)

    def padded(self, texts: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ids (int64) and mask (float32) of these texts, each (texts, max length), zero-padded."""
        lengths = self.lengths[texts]
        positions = np.arange(lengths.max())
        inside = positions < lengths[:, None]
        starts = self.ends[texts] - lengths
        ids = np.where(inside, self.ids.take(starts[:, None] + positions, mode="clip"), 0)
        return torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(inside.astype(np.float32))


Encoded = PieceIds | Sequence[Sequence[int] | np.ndarray]
"""Piece ids of each text."""


def as_piece_ids(rows: Encoded) -> PieceIds:
    """Convert rows to ``PieceIds``."""
    return rows if isinstance(rows, PieceIds) else PieceIds.of(rows)
