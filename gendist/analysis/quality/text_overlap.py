"""Overlap of texts with real rows: TF-IDF similarity and longest shared runs of words."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from gendist.errors import GendistError

MAX_SIMILARITIES = 10_000_000
"""Similarities in memory at a time (80 MB)."""
TEXTS_PER_BATCH = 5000
"""Texts per suffix array, together with all training rows."""


def normalise(text: str) -> str:
    """Return the text in lower case with single spaces, for equality tests."""
    return " ".join(text.lower().split())


class TfidfSimilarity:
    """Cosine similarity of texts with real rows, by TF-IDF vectors fitted on the real rows.

    Raises:
        GendistError: if the real rows, read from ``train``, have no words.
    """

    def __init__(self, real: Sequence[str], train: Path) -> None:
        self._vectorizer = TfidfVectorizer()
        try:
            # Unit vectors: the product is the cosine.
            self._known = self._vectorizer.fit_transform(real).T
        except ValueError as error:
            raise GendistError(f"{train}: {str(error).splitlines()[0]}") from None

    def cosines(self, texts: Sequence[str]) -> Iterator[np.ndarray]:
        """Yield the cosines in batches of texts, (batch, real rows)."""
        if not texts:
            return
        vectors = self._vectorizer.transform(texts)
        batch = max(1, MAX_SIMILARITIES // self._known.shape[1])
        for start in range(0, len(texts), batch):
            yield (vectors[start : start + batch] @ self._known).toarray()


def tfidf_similarities(real: Sequence[str], texts: Sequence[str], train: Path) -> Iterator[np.ndarray]:
    """Yield the TF-IDF cosines of texts with real rows in batches, (batch, real rows)."""
    yield from TfidfSimilarity(real, train).cosines(texts)


def longest_runs(real: Sequence[str], texts: Sequence[str]) -> np.ndarray:
    r"""Return the longest run of words (``\w+``, lower case) that each text shares with one real row, (texts,)."""
    vocabulary: dict[str, int] = {}
    # 0: unknown words and ends of texts; 1: ends of real rows. No run contains either.
    reference = [
        [vocabulary.setdefault(word, len(vocabulary) + 2) for word in split_words(text)] + [1] for text in real
    ]
    runs = []
    for start in range(0, len(texts), TEXTS_PER_BATCH):
        queries = [
            [vocabulary.get(word, 0) for word in split_words(text)] + [0]
            for text in texts[start : start + TEXTS_PER_BATCH]
        ]
        runs.append(_longest_runs(reference, queries))
    return np.concatenate(runs) if runs else np.zeros(0, np.int64)


def split_words(text: str) -> list[str]:
    r"""Return the words (``\w+``) of a text in lower case."""
    return re.findall(r"\w+", text.lower())


def _longest_runs(reference: Sequence[Sequence[int]], queries: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the longest run that each query shares with a reference, (queries,).

    Sorts all suffixes by prefix doubling (Manber and Myers 1990). The reference suffix with the longest common run is
    the nearest one before or after the query suffix; the ranks of 1, 2, 4, ... words give the length of the run.
    Copies cost no more than other texts.
    """
    stream = np.array([word for text in (*reference, *queries) for word in text], np.int32)
    n_reference, size = sum(map(len, reference)), len(stream)
    ranks = [stream]  # ranks[k][i]: rank of the 2^k words starting at i
    longest = max(map(len, queries))
    while 2 ** (len(ranks) - 1) < longest:
        width = 2 ** (len(ranks) - 1)
        following = np.zeros(size, np.int64)  # past the end sorts first
        following[:-width] = ranks[-1][width:] + 1
        keys = ranks[-1] * (following.max() + 1) + following
        ranks.append(np.unique(keys, return_inverse=True)[1].astype(np.int32))
    order = np.argsort(ranks[-1], kind="stable")
    is_known = order < n_reference
    order_positions = np.arange(size)
    before = np.maximum.accumulate(np.where(is_known, order_positions, -1))[~is_known]
    after = np.minimum.accumulate(np.where(is_known, order_positions, size)[::-1])[::-1][~is_known]
    runs = np.zeros(size, np.int64)
    for neighbour in (before, after):
        valid = (neighbour >= 0) & (neighbour < size)
        query_suffixes, reference_suffixes = order[~is_known][valid], order[neighbour[valid]]
        run = np.zeros(len(query_suffixes), np.int64)
        for k in reversed(range(len(ranks))):
            # The ends of the texts differ, so a run never passes the end of the stream.
            run += (ranks[k][query_suffixes + run] == ranks[k][reference_suffixes + run]) * 2**k
        runs[query_suffixes] = np.maximum(runs[query_suffixes], run)
    starts = np.cumsum([0, *map(len, queries[:-1])])
    return np.maximum.reduceat(runs[n_reference:], starts)
