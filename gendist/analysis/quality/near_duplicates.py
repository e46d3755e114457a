"""Near-duplicate search: MinHash LSH over character shingles, verified by exact Jaccard similarity."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from datasketch import MinHash

from gendist.analysis.quality.text_overlap import normalise

SHINGLE_WIDTH = 5
"""Characters per shingle. Replacing one of twenty words leaves a similarity of about 0.84; with shingles of three words
it would leave 0.71, less than ``MIN_JACCARD``."""
MIN_JACCARD = 0.8
"""Minimum Jaccard similarity of near duplicates."""
PERMUTATIONS = 128
N_BANDS, HASHES_PER_BAND = 25, 5
"""Candidates share all hashes of a band. Recall at similarity 0.8: 1 - (1 - 0.8^5)^25 = 99.995 %; false candidates at
similarity 0.2: 1 %."""
SEED = 1
BAND_MULTIPLIERS = np.random.default_rng(SEED).integers(1, 2**63, HASHES_PER_BAND, dtype=np.uint64) * np.uint64(
    2
) + np.uint64(1)
"""Odd multipliers that combine the hashes of a band into one number."""


@dataclass(frozen=True)
class NearMatch:
    """The most similar indexed text."""

    key: int
    jaccard: float


@dataclass(frozen=True)
class BandSegment:
    """Sorted bands of some texts: (bands, texts) both."""

    hashes: np.ndarray
    keys: np.ndarray

    @classmethod
    def sort(cls, hashes: np.ndarray, keys: np.ndarray) -> "BandSegment":
        """Sort each band."""
        order = np.argsort(hashes, axis=1, kind="stable")
        return cls(np.take_along_axis(hashes, order, 1), np.take_along_axis(keys, order, 1))

    def merged(self, other: "BandSegment") -> "BandSegment":
        """Return the union of both segments."""
        return BandSegment.sort(np.hstack([self.hashes, other.hashes]), np.hstack([self.keys, other.keys]))


def shingles(text: str) -> frozenset[str]:
    """Return the character n-grams (``SHINGLE_WIDTH``) of the normalised text; shorter texts are one shingle."""
    text = normalise(text)
    return frozenset(text[i : i + SHINGLE_WIDTH] for i in range(max(1, len(text) - SHINGLE_WIDTH + 1)))


class MinHashIndex:
    """MinHash LSH index of texts by key (Broder 1997; Leskovec et al., chapter 3).

    Deterministic: hashes are seeded, and candidates are compared exactly. Memory per text: the text and about 400 bytes
    for its bands, kept in sorted arrays that are merged like a log-structured merge tree.
    """

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}
        self._segments: list[BandSegment] = []
        self._recent: dict[int, np.ndarray] = {}
        self._recent_keys: defaultdict[tuple[int, int], list[int]] = defaultdict(list)

    def candidates(self, bands: np.ndarray) -> list[set[int]]:
        """Return the keys that share a band with each text, of texts added before this call.

        Args:
            bands: (texts, ``N_BANDS``) from ``minhash_bands``.
        """
        self._merge_recent()
        found: list[set[int]] = [set() for _ in bands]
        for segment in self._segments:
            for band in range(N_BANDS):
                first = np.searchsorted(segment.hashes[band], bands[:, band], "left")
                last = np.searchsorted(segment.hashes[band], bands[:, band], "right")
                for text in np.flatnonzero(last > first):
                    found[text].update(segment.keys[band, first[text] : last[text]].tolist())
        return found

    def nearest(self, text: frozenset[str], bands: np.ndarray, candidates: set[int]) -> NearMatch | None:
        """Return the text with the highest Jaccard similarity of at least ``MIN_JACCARD``; ties go to the lowest key.

        Args:
            text: shingles of the text.
            bands: bands of the text, (``N_BANDS``,).
            candidates: candidates of the text; texts added since are considered as well.
        """
        recent = (self._recent_keys.get((band, int(key)), ()) for band, key in enumerate(bands))
        found = None
        for key in sorted(candidates.union(*recent)):
            other = shingles(self._texts[key])
            jaccard = len(text & other) / len(text | other)
            if jaccard >= MIN_JACCARD and (found is None or jaccard > found.jaccard):
                found = NearMatch(key, jaccard)
        return found

    def add(self, key: int, text: str, bands: np.ndarray) -> None:
        """Add a text under a new key."""
        self._texts[key] = text
        self._recent[key] = bands
        for band, value in enumerate(bands):
            self._recent_keys[band, int(value)].append(key)

    def _merge_recent(self) -> None:
        if self._recent:
            keys = np.broadcast_to(np.array(list(self._recent), np.int32), (N_BANDS, len(self._recent)))
            self._segments.append(BandSegment.sort(np.array(list(self._recent.values())).T, keys))
            self._recent.clear()
            self._recent_keys.clear()
        # Sizes at least double from segment to segment: O(log n) segments and merges per text.
        while len(self._segments) > 1 and self._segments[-2].keys.size < 2 * self._segments[-1].keys.size:
            last = self._segments.pop()
            self._segments[-1] = self._segments[-1].merged(last)


def minhash_bands(texts: Sequence[frozenset[str]]) -> np.ndarray:
    """Return the LSH bands of texts given as shingles, (texts, ``N_BANDS``) uint64.

    Two texts share a band if its ``HASHES_PER_BAND`` MinHash values are equal; other collisions are negligible.
    """
    encoded = [[shingle.encode() for shingle in text] for text in texts]
    sketches = MinHash.bulk(encoded, num_perm=PERMUTATIONS, seed=SEED)
    values = np.array([sketch.hashvalues[: N_BANDS * HASHES_PER_BAND] for sketch in sketches], np.uint64)
    return np.asarray(
        (values.reshape(len(texts), N_BANDS, HASHES_PER_BAND) * BAND_MULTIPLIERS).sum(axis=2, dtype=np.uint64)
    )
