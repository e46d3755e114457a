"""Piece ids of many texts in one array: lists of Python's integers take ten times as much memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pieces:
    """Rows of different lengths; ``pieces[i]`` are the ids of one text, (pieces,) int32."""

    ids: np.ndarray
    """(all pieces,) int32, one text after the other."""
    ends: np.ndarray
    """(texts,) int64: where each text ends in ``ids``."""

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> "Pieces":
        """Pack lists of ids."""
        flat = np.fromiter((piece for row in rows for piece in row), np.int32)
        return cls(flat, np.cumsum([len(row) for row in rows], dtype=np.int64))

    @classmethod
    def joined(cls, parts: Sequence["Pieces"]) -> "Pieces":
        """Return the texts of all parts, one after the other."""
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
