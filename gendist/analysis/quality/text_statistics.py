"""Length, lexical diversity and self-similarity of texts, on equal sample sizes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from gendist.analysis.quality.text_overlap import split_words, tfidf_similarities
from gendist.stages.synthetic.pool_reader import iter_pool_batches, row_numbers_with_text, texts_at

QUANTILES = (0, 1, *range(5, 100, 5), 99, 100)
"""Percentiles of the rows."""
MAX_WORDS = 10_000
"""Words for lexical diversity, at most the size of the smallest group: the measures depend on the sample size."""
MAX_COMPARED_ROWS = 1000
"""Rows for self-similarity, at most the size of the smallest group: it rises with the sample size."""


class TextGroup(Protocol):
    """A collection of texts, in memory or on disk."""

    def __len__(self) -> int:
        """Return the number of texts."""

    def batches(self) -> Iterator[Sequence[str]]:
        """Yield all texts in batches."""

    def take(self, indices: Sequence[int]) -> list[str]:
        """Return the texts at these indices."""


class ListedTexts:
    """Texts in memory."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.texts)

    def batches(self) -> Iterator[Sequence[str]]:
        """Yield all texts as one batch."""
        yield self.texts

    def take(self, indices: Sequence[int]) -> list[str]:
        """Return the texts at these indices."""
        return [self.texts[i] for i in indices]


class PoolTexts:
    """Rows with text among the first ``count`` rows of a pool."""

    def __init__(self, shards: Sequence[Path], count: int) -> None:
        self.shards, self.count = shards, count
        self.rows = row_numbers_with_text(shards, count)

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.rows)

    def batches(self) -> Iterator[Sequence[str]]:
        """Yield all texts in batches."""
        for pool in iter_pool_batches(self.shards, self.count):
            yield pool.texts

    def take(self, indices: Sequence[int]) -> list[str]:
        """Return the texts at these indices."""
        return texts_at(self.shards, self.rows[indices].tolist()) if len(indices) else []


def describe_texts(groups: Mapping[str, TextGroup], training: str, seed: int = 0) -> dict[str, dict[str, Any]]:
    r"""Measure groups of texts; words are ``\w+`` in lower case.

    Args:
        groups: non-empty groups of texts by name.
        training: name of the group whose words are the known vocabulary.
        seed: seed of the samples of equal size.

    Returns:
        By group: ``rows``; quantiles of ``words`` and ``characters``; ``types``: number of distinct words;
        ``same_words``: lexical diversity on equally many words; ``same_rows``: self-similarity on equally many rows.
    """
    counted = {name: _count(group) for name, group in groups.items()}
    order = {name: np.random.default_rng(seed).permutation(len(group)) for name, group in groups.items()}
    tokens = min(MAX_WORDS, *(int(counts.words.sum()) for counts in counted.values()))
    sample = min(MAX_COMPARED_ROWS, *map(len, groups.values()))
    known = counted[training].types
    found = {}
    for name, group in groups.items():
        counts, indices = counted[name], order[name]
        n_rows = np.searchsorted(np.cumsum(counts.words[indices]), tokens) + 1
        sampled = truncate_words(map(split_words, group.take(indices[:n_rows].tolist())), tokens)
        found[name] = {
            "rows": len(group),
            "words": quantiles(counts.words),
            "characters": quantiles(counts.characters),
            "types": len(counts.types),
            "same_words": lexical_diversity(sampled, known),
            "same_rows": self_similarity(group.take(sorted(indices[:sample].tolist()))),
        }
    return found


class TextCounts(NamedTuple):
    """Number of words and characters of each text, (texts,) each, and the distinct words of all texts."""

    words: np.ndarray
    characters: np.ndarray
    types: set[str]


def _count(group: TextGroup) -> TextCounts:
    types: set[str] = set()
    n_words, n_characters = [], []
    for texts in group.batches():
        split = [split_words(text) for text in texts]
        types.update(word for row in split for word in row)
        n_words.append(np.fromiter(map(len, split), np.int64))
        n_characters.append(np.fromiter(map(len, texts), np.int64))
    return TextCounts(np.concatenate(n_words), np.concatenate(n_characters), types)


def quantiles(values: Sequence[float] | np.ndarray, digits: int = 4) -> dict[str, Any]:
    """Return the mean and the percentiles ``QUANTILES``."""
    at = np.percentile(values, QUANTILES)
    return {"mean": round(float(np.mean(values)), digits), "quantiles": [round(float(v), digits) for v in at]}


def truncate_words(rows: Iterable[list[str]], count: int) -> list[list[str]]:
    """Return the first rows up to ``count`` words in total; the last row is truncated."""
    truncated = []
    for row in rows:
        if count <= 0:
            break
        truncated.append(row[:count])
        count -= len(row)
    return truncated


def lexical_diversity(rows: Sequence[list[str]], known: set[str]) -> dict[str, Any]:
    """Measure the lexical diversity of tokenized rows.

    Returns:
        ``words``: number of words; ``types``: number of distinct words; ``distinct_1`` to ``distinct_3``: distinct-n
        (Li et al. 2016; null without n-grams); ``known_types``: share of the ``known`` words that occur;
        ``new_words``: share of the words that are not in ``known``.
    """
    all_words = [word for row in rows for word in row]
    new = sum(word not in known for word in all_words)
    return {
        "words": len(all_words),
        "types": len(set(all_words)),
        **{f"distinct_{n}": distinct_n(rows, n) for n in (1, 2, 3)},
        "known_types": _share(len(known & set(all_words)), len(known)),
        "new_words": _share(new, len(all_words)),
    }


def distinct_n(rows: Sequence[list[str]], n: int) -> float | None:
    """Return distinct-n: distinct n-grams over all n-grams. N-grams do not cross rows."""
    grams = [tuple(row[i : i + n]) for row in rows for i in range(len(row) - n + 1)]
    return _share(len(set(grams)), len(grams))


def self_similarity(texts: Sequence[str]) -> dict[str, Any]:
    """Measure the pairwise similarity of texts: cosines of TF-IDF vectors fitted on them.

    Returns:
        ``rows``: number of texts; ``pairs``: mean over all pairs; ``nearest``: mean similarity with the most similar
        other text. Null for a single text, or without words.
    """
    rows = len(texts)
    undefined = {"rows": rows, "pairs": None, "nearest": None}
    if rows < 2 or not any(len(word) > 1 for text in texts for word in split_words(text)):
        return undefined
    nearest, total, start = [], 0.0, 0
    for part in tfidf_similarities(texts, texts, Path("texts")):
        own = np.arange(len(part))
        part[own, start + own] = 0
        start += len(part)
        nearest.append(part.max(axis=1))
        total += float(part.sum())
    mean = float(np.concatenate(nearest).mean())
    return undefined | {"pairs": round(total / (rows * (rows - 1)), 6), "nearest": round(mean, 6)}


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
