"""How much texts repeat the real training rows: copies, verbatim runs of words, TF-IDF similarity."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from gendist.errors import GendistError

MAX_SIMILARITIES = 10_000_000
"""Similarities held at a time (80 MB)."""
TEXTS_PER_BATCH = 5000
"""Texts whose runs are sought at a time, next to all training rows."""


def normalise(text: str) -> str:
    """Return the text in lower case with single spaces: what counts as the same text."""
    return " ".join(text.lower().split())


class TfidfSimilarity:
    """How near texts are to the real rows: cosines of TF-IDF vectors that are fitted on these.

    Raises:
        GendistError: if the real rows, which came from ``train``, hold no word.
    """

    def __init__(self, real: Sequence[str], train: Path) -> None:
        self._vectorizer = TfidfVectorizer()
        try:
            # Vectors of unit length, so the product is the cosine.
            self._known = self._vectorizer.fit_transform(real).T
        except ValueError as error:
            raise GendistError(f"{train}: {str(error).splitlines()[0]}") from None

    def cosines(self, texts: Sequence[str]) -> Iterator[np.ndarray]:
        """Yield cosines for some texts after the other: (texts, real)."""
        if not texts:
            return
        vectors = self._vectorizer.transform(texts)
        step = max(1, MAX_SIMILARITIES // self._known.shape[1])
        for first in range(0, len(texts), step):
            yield (vectors[first : first + step] @ self._known).toarray()


def tfidf_similarities(real: Sequence[str], texts: Sequence[str], train: Path) -> Iterator[np.ndarray]:
    """Yield the cosines of texts with the real rows, as ``TfidfSimilarity`` does."""
    yield from TfidfSimilarity(real, train).cosines(texts)


def longest_runs(real: Sequence[str], texts: Sequence[str]) -> np.ndarray:
    r"""Return the most consecutive words (``\w+``, lower case) that each text shares with one real row: (texts,)."""
    vocabulary: dict[str, int] = {}
    # 0 stands for words of no real row and ends the texts, 1 ends the real rows: no run holds either.
    known = [[vocabulary.setdefault(word, len(vocabulary) + 2) for word in split_words(text)] + [1] for text in real]
    runs = []
    for first in range(0, len(texts), TEXTS_PER_BATCH):
        asked = [
            [vocabulary.get(word, 0) for word in split_words(text)] + [0]
            for text in texts[first : first + TEXTS_PER_BATCH]
        ]
        runs.append(_longest_runs(known, asked))
    return np.concatenate(runs) if runs else np.zeros(0, np.int64)


def split_words(text: str) -> list[str]:
    r"""Return the words (``\w+``) of a text in lower case."""
    return re.findall(r"\w+", text.lower())


def _longest_runs(known: Sequence[Sequence[int]], asked: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the longest run of each asked text.

    All suffixes are sorted by prefix doubling (Manber and Myers 1990). The real suffix that
    shares the longest run with an asked one is then the nearest before it or after it, and
    the ranks of 1, 2, 4, ... words tell how long the run is. No word is compared twice, so
    whole copies cost no more than other texts.
    """
    stream = np.array([word for text in (*known, *asked) for word in text], np.int32)
    border, size = sum(map(len, known)), len(stream)
    ranks = [stream]  # ranks[k][i]: place of the 2^k words from i among all such
    longest = max(map(len, asked))
    while 2 ** (len(ranks) - 1) < longest:
        width = 2 ** (len(ranks) - 1)
        following = np.zeros(size, np.int64)  # past the end: before everything
        following[:-width] = ranks[-1][width:] + 1
        keys = ranks[-1] * (following.max() + 1) + following
        ranks.append(np.unique(keys, return_inverse=True)[1].astype(np.int32))
    order = np.argsort(ranks[-1], kind="stable")
    is_known = order < border
    places = np.arange(size)
    before = np.maximum.accumulate(np.where(is_known, places, -1))[~is_known]
    after = np.minimum.accumulate(np.where(is_known, places, size)[::-1])[::-1][~is_known]
    runs = np.zeros(size, np.int64)
    for neighbour in (before, after):
        there = (neighbour >= 0) & (neighbour < size)
        ours, theirs = order[~is_known][there], order[neighbour[there]]
        run = np.zeros(len(ours), np.int64)
        for k in reversed(range(len(ranks))):
            # Both places are at most at the end of their text, which differs: never past the stream.
            run += (ranks[k][ours + run] == ranks[k][theirs + run]) * 2**k
        runs[ours] = np.maximum(runs[ours], run)
    starts = np.cumsum([0, *map(len, asked[:-1])])
    return np.maximum.reduceat(runs[border:], starts)
