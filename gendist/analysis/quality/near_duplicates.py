"""Near duplicates: texts that share most of their character shingles, found by MinHash and checked exactly."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from datasketch import MinHash

from gendist.analysis.quality.text_overlap import normalise

SHINGLE_WIDTH = 5
"""Characters of a shingle. Another word in one place of twenty leaves two texts a similarity of about 0.84; of
shingles of three words it would leave 0.71, less than ``MIN_JACCARD``."""
MIN_JACCARD = 0.8
"""Shared shingles over all shingles of both texts, from which on they are near duplicates."""
PERMUTATIONS = 128
N_BANDS, HASHES_PER_BAND = 25, 5
"""Candidates have all hashes of a band in common: of the pairs with a similarity of 0.8, 1 - (1 - 0.8^5)^25 = 99.995 %
are found; of those with 0.2, 1 % are compared in vain."""
SEED = 1
BAND_MULTIPLIERS = np.random.default_rng(SEED).integers(1, 2**63, HASHES_PER_BAND, dtype=np.uint64) * np.uint64(
    2
) + np.uint64(1)
"""Odd numbers that the hashes of a band are multiplied with before they are added up."""


@dataclass(frozen=True)
class NearMatch:
    """The text of an index that is nearest to another one."""

    key: int
    jaccard: float


@dataclass(frozen=True)
class BandSegment:
    """Bands of some texts, each band sorted: (bands, texts) both."""

    hashes: np.ndarray
    keys: np.ndarray

    @classmethod
    def of(cls, hashes: np.ndarray, keys: np.ndarray) -> "BandSegment":
        """Sort each band."""
        order = np.argsort(hashes, axis=1, kind="stable")
        return cls(np.take_along_axis(hashes, order, 1), np.take_along_axis(keys, order, 1))

    def merged(self, other: "BandSegment") -> "BandSegment":
        """Return both as one."""
        return BandSegment.of(np.hstack([self.hashes, other.hashes]), np.hstack([self.keys, other.keys]))


def shingles(text: str) -> frozenset[str]:
    """Return the runs of ``SHINGLE_WIDTH`` characters of a text, in lower case with single spaces; a shorter one whole."""
    text = normalise(text)
    return frozenset(text[i : i + SHINGLE_WIDTH] for i in range(max(1, len(text) - SHINGLE_WIDTH + 1)))


class MinHashIndex:
    """Texts by key, among which near duplicates of others are looked up (Broder 1997; Leskovec et al., chapter 3).

    Equal texts in equal order give equal answers: the hashes are seeded, and candidates are compared in full. Beside
    its text, a text takes about 400 bytes: its bands lie in sorted arrays, which are merged as they become many.
    """

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}
        self._segments: list[BandSegment] = []
        self._recent: dict[int, np.ndarray] = {}
        self._recent_keys: defaultdict[tuple[int, int], list[int]] = defaultdict(list)

    def candidates(self, bands: np.ndarray) -> list[set[int]]:
        """Return the keys that share a band with each text, as far as they were added before this call.

        Args:
            bands: (texts, ``N_BANDS``) from ``minhash_bands``.
        """
        self._settle()
        found: list[set[int]] = [set() for _ in bands]
        for segment in self._segments:
            for band in range(N_BANDS):
                first = np.searchsorted(segment.hashes[band], bands[:, band], "left")
                last = np.searchsorted(segment.hashes[band], bands[:, band], "right")
                for text in np.flatnonzero(last > first):
                    found[text].update(segment.keys[band, first[text] : last[text]].tolist())
        return found

    def nearest(self, text: frozenset[str], bands: np.ndarray, candidates: set[int]) -> NearMatch | None:
        """Return the key whose text has the highest Jaccard similarity, at least ``MIN_JACCARD``; the lowest of equal ones.

        Args:
            text: from ``shingles``.
            bands: (``N_BANDS``,) its own.
            candidates: its own, to which the texts added since they were looked up are joined here.
        """
        since = (self._recent_keys.get((band, int(key)), ()) for band, key in enumerate(bands))
        found = None
        for key in sorted(candidates.union(*since)):
            other = shingles(self._texts[key])
            jaccard = len(text & other) / len(text | other)
            if jaccard >= MIN_JACCARD and (found is None or jaccard > found.jaccard):
                found = NearMatch(key, jaccard)
        return found

    def add(self, key: int, text: str, bands: np.ndarray) -> None:
        """Add a text under a key of its own."""
        self._texts[key] = text
        self._recent[key] = bands
        for band, value in enumerate(bands):
            self._recent_keys[band, int(value)].append(key)

    def _settle(self) -> None:
        if self._recent:
            keys = np.broadcast_to(np.array(list(self._recent), np.int32), (N_BANDS, len(self._recent)))
            self._segments.append(BandSegment.of(np.array(list(self._recent.values())).T, keys))
            self._recent.clear()
            self._recent_keys.clear()
        # Each segment is more than twice as large as the next: few of them, and no text is merged often.
        while len(self._segments) > 1 and self._segments[-2].keys.size < 2 * self._segments[-1].keys.size:
            last = self._segments.pop()
            self._segments[-1] = self._segments[-1].merged(last)


def minhash_bands(texts: Sequence[frozenset[str]]) -> np.ndarray:
    """Return what texts are looked up by, from their shingles: (texts, ``N_BANDS``) uint64.

    Two texts have a number in common if they share the ``HASHES_PER_BAND`` MinHash values of a band, and else next to never.
    """
    encoded = [[shingle.encode() for shingle in text] for text in texts]
    made = MinHash.bulk(encoded, num_perm=PERMUTATIONS, seed=SEED)
    values = np.array([sketch.hashvalues[: N_BANDS * HASHES_PER_BAND] for sketch in made], np.uint64)
    return np.asarray(
        (values.reshape(len(texts), N_BANDS, HASHES_PER_BAND) * BAND_MULTIPLIERS).sum(axis=2, dtype=np.uint64)
    )
