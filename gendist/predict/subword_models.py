"""Subword models of ``tokenizers`` in Python: byte-pair encoding and WordPiece, with the same results."""

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import Any, Protocol

MAX_WORD = 100
"""Default length of the longest word of WordPiece."""
MERGED = -1
"""In place of the right one of two merged pieces."""


class SubwordModel(Protocol):
    """Maps a word, without white space, to piece ids."""

    def encode(self, word: str) -> list[int]:
        """Return the ids of the pieces of a word."""


class BytePairEncoding:
    """Merges the adjacent pair of lowest rank until none is left (Sennrich et al. 2016)."""

    def __init__(
        self, vocabulary: Mapping[str, int], merges: Sequence[Any], *, prefix: str, unknown: int | None
    ) -> None:
        """Build the table of merges.

        Args:
            vocabulary: id of each piece.
            merges: pairs of pieces, lowest rank first; lists of two, or strings with a space.
            prefix: prefix of pieces that do not start a word.
            unknown: id of a character that is no piece; None drops it.
        """
        self._vocabulary, self._prefix, self._unknown = vocabulary, prefix, unknown
        self._merges: dict[tuple[int, int], tuple[int, int]] = {}
        for rank, merge in enumerate(merges):
            left, right = merge.split(" ") if isinstance(merge, str) else merge
            merged = vocabulary[left + right[len(prefix) :]]
            self._merges[vocabulary[left], vocabulary[right]] = rank, merged

    def encode(self, word: str) -> list[int]:
        """Return the ids of the pieces of a word."""
        pieces = []
        for position, character in enumerate(word):
            piece = self._vocabulary.get(self._prefix + character if position else character, self._unknown)
            if piece is not None:
                pieces.append(piece)
        # A queue, as in the library: the time must not grow with the square of a word's length.
        ends = list(range(1, len(pieces) + 1))
        starts = list(range(-1, len(pieces)))
        queue = [
            (*merge, left)
            for left, pair in enumerate(pairwise(pieces))
            if (merge := self._merges.get(pair)) is not None
        ]
        heapify(queue)
        while queue:
            rank, merged, left = heappop(queue)
            right = ends[left]
            if right == len(pieces) or self._merges.get((pieces[left], pieces[right])) != (rank, merged):
                continue  # one of the two has been merged since
            pieces[left], pieces[right] = merged, MERGED
            ends[left] = end = ends[right]
            starts[end] = left
            for first, second in ((starts[left], left), (left, end)):
                if first >= 0 and second < len(pieces):
                    merge = self._merges.get((pieces[first], pieces[second]))
                    if merge is not None:
                        heappush(queue, (*merge, first))
        return [piece for piece in pieces if piece != MERGED]


class WordPiece:
    """Takes the longest piece from the start, again and again (Devlin et al. 2019)."""

    def __init__(self, vocabulary: Mapping[str, int], *, prefix: str, unknown: int, max_word: int = MAX_WORD) -> None:
        """Store the vocabulary.

        Args:
            vocabulary: id of each piece.
            prefix: prefix of pieces that do not start a word.
            unknown: id of a word that is not made of pieces.
            max_word: longer words are unknown.
        """
        self._vocabulary, self._prefix, self._unknown, self._max_word = vocabulary, prefix, unknown, max_word

    def encode(self, word: str) -> list[int]:
        """Return the ids of the pieces of a word."""
        if len(word) > self._max_word:
            return [self._unknown]
        pieces, start = [], 0
        while start < len(word):
            prefix = self._prefix if start else ""
            for end in range(len(word), start, -1):
                piece = self._vocabulary.get(prefix + word[start:end])
                if piece is not None:
                    pieces.append(piece)
                    start = end
                    break
            else:
                return [self._unknown]
        return pieces
