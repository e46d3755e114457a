"""Near duplicates: texts that share most of their character shingles, found by MinHash and checked exactly."""

from collections.abc import Sequence
from dataclasses import dataclass

from datasketch import MinHash, MinHashLSH

from gendist.quality.overlap import normalised

WIDTH = 5
"""Characters of a shingle. Another word in one place of twenty leaves two texts a similarity of about 0.84; of
shingles of three words it would leave 0.71, less than ``JACCARD``."""
JACCARD = 0.8
"""Shared shingles over all shingles of both texts, from which on they are near duplicates."""
PERMUTATIONS = 128
BANDS, IN_BAND = 25, 5
"""Candidates have all hashes of a band in common: of the pairs with a similarity of 0.8, 1 - (1 - 0.8^5)^25 = 99.995 %
are found; of those with 0.2, 1 % are compared in vain."""
SEED = 1


@dataclass(frozen=True)
class Match:
    """The text of an index that is nearest to another one."""

    key: int
    jaccard: float


def shingles(text: str) -> frozenset[str]:
    """Return the runs of ``WIDTH`` characters of a text, in lower case with single spaces; a shorter one whole."""
    text = normalised(text)
    return frozenset(text[i : i + WIDTH] for i in range(max(1, len(text) - WIDTH + 1)))


class NearIndex:
    """Texts by key, among which near duplicates of others are looked up (Broder 1997; Leskovec et al., chapter 3).

    Equal texts in equal order give equal answers: the hashes are seeded, and candidates are compared in full.
    """

    def __init__(self) -> None:
        self._search = MinHashLSH(num_perm=PERMUTATIONS, params=(BANDS, IN_BAND))
        self._texts: dict[int, frozenset[str]] = {}

    def nearest(self, text: frozenset[str], sketch: MinHash) -> Match | None:
        """Return the key whose text has the highest Jaccard similarity, at least ``JACCARD``; the lowest of equal ones.

        Args:
            text: from ``shingles``.
            sketch: its own, from ``sketches``.
        """
        found = None
        for key in sorted(self._search.query(sketch)):
            other = self._texts[key]
            jaccard = len(text & other) / len(text | other)
            if jaccard >= JACCARD and (found is None or jaccard > found.jaccard):
                found = Match(key, jaccard)
        return found

    def add(self, key: int, text: frozenset[str], sketch: MinHash) -> None:
        """Add a text under a key of its own."""
        self._search.insert(key, sketch, check_duplication=False)
        self._texts[key] = text


def sketches(texts: Sequence[frozenset[str]]) -> list[MinHash]:
    """Return the MinHash of each text."""
    encoded = [[shingle.encode() for shingle in text] for text in texts]
    made: list[MinHash] = MinHash.bulk(encoded, num_perm=PERMUTATIONS, seed=SEED)
    return made
