"""Length and variety of texts, so measured that texts of different numbers compare."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from gendist.analysis.quality.text_overlap import split_words, tfidf_similarities
from gendist.stages.synthetic.pool import pool_batches, rows_with_text, texts_of

QUANTILES = (0, 1, *range(5, 100, 5), 99, 100)
"""Percent of the rows."""
MAX_WORDS = 10_000
"""Words on which variety is measured, or as many as the smallest group has: such measures change with their number."""
MAX_COMPARED_ROWS = 1000
"""Rows among which similarity is measured, or as many as the smallest group has: it rises with their number."""


class TextGroup(Protocol):
    """Texts that need not be in memory."""

    def __len__(self) -> int:
        """Return the number of texts."""

    def batches(self) -> Iterator[Sequence[str]]:
        """Yield all texts, some at a time."""

    def take(self, places: Sequence[int]) -> list[str]:
        """Return the texts at some places."""


class ListedTexts:
    """A group of texts in memory."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.texts)

    def batches(self) -> Iterator[Sequence[str]]:
        """Yield all texts at once."""
        yield self.texts

    def take(self, places: Sequence[int]) -> list[str]:
        """Return the texts at some places."""
        return [self.texts[i] for i in places]


class PoolTexts:
    """The first rows of a pool that hold text."""

    def __init__(self, shards: Sequence[Path], count: int) -> None:
        self.shards, self.count = shards, count
        self.rows = rows_with_text(shards, count)

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.rows)

    def batches(self) -> Iterator[Sequence[str]]:
        """Yield all texts, some at a time."""
        for pool in pool_batches(self.shards, self.count):
            yield pool.texts

    def take(self, places: Sequence[int]) -> list[str]:
        """Return the texts at some places."""
        return texts_of(self.shards, self.rows[places].tolist()) if len(places) else []


def describe_texts(groups: Mapping[str, TextGroup], training: str, seed: int = 0) -> dict[str, dict[str, Any]]:
    r"""Measure groups of texts side by side; words are ``\w+`` in lower case.

    Args:
        groups: texts by the name of their group, none empty.
        training: the group whose words count as known.
        seed: of the order in which texts are drawn for measures on equal numbers.

    Returns:
        By group: ``rows``; quantiles of ``words`` and ``characters``; ``types``, different words of all rows;
        ``same_words``: measures on as many words of each group; ``same_rows``: measures on as many rows of each.
    """
    counted = {name: _count(group) for name, group in groups.items()}
    order = {name: np.random.default_rng(seed).permutation(len(group)) for name, group in groups.items()}
    tokens = min(MAX_WORDS, *(int(counts.words.sum()) for counts in counted.values()))
    sample = min(MAX_COMPARED_ROWS, *map(len, groups.values()))
    known = counted[training].types
    found = {}
    for name, group in groups.items():
        counts, places = counted[name], order[name]
        enough = np.searchsorted(np.cumsum(counts.words[places]), tokens) + 1
        drawn = truncate_words(map(split_words, group.take(places[:enough].tolist())), tokens)
        found[name] = {
            "rows": len(group),
            "words": quantiles(counts.words),
            "characters": quantiles(counts.characters),
            "types": len(counts.types),
            "same_words": lexical_diversity(drawn, known),
            "same_rows": self_similarity(group.take(sorted(places[:sample].tolist()))),
        }
    return found


class TextCounts(NamedTuple):
    """Words and characters of each text, (texts,) each, and the different words of all."""

    split_words: np.ndarray
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
    """Return the mean and the values at ``QUANTILES`` percent."""
    at = np.percentile(values, QUANTILES)
    return {"mean": round(float(np.mean(values)), digits), "quantiles": [round(float(v), digits) for v in at]}


def truncate_words(rows: Iterable[list[str]], count: int) -> list[list[str]]:
    """Return the first rows up to ``count`` words in all, the last one cut."""
    taken = []
    for row in rows:
        if count <= 0:
            break
        taken.append(row[:count])
        count -= len(row)
    return taken


def lexical_diversity(rows: Sequence[list[str]], known: set[str]) -> dict[str, Any]:
    """Measure the words of some rows.

    Returns:
        ``words`` in all; ``types``, the different ones; ``distinct_1`` to ``distinct_3``: different n-grams over all
        n-grams of the rows (Li et al. 2016; null without any); ``known_types``: share of the ``known`` words that
        occur; ``new_words``: share of the words that are not among the known.
    """
    every = [word for row in rows for word in row]
    new = sum(word not in known for word in every)
    return {
        "words": len(every),
        "types": len(set(every)),
        **{f"distinct_{n}": distinct_n(rows, n) for n in (1, 2, 3)},
        "known_types": _share(len(known & set(every)), len(known)),
        "new_words": _share(new, len(every)),
    }


def distinct_n(rows: Sequence[list[str]], n: int) -> float | None:
    """Return different n-grams over all n-grams (distinct-n); none goes from one row into the next."""
    grams = [tuple(row[i : i + n]) for row in rows for i in range(len(row) - n + 1)]
    return _share(len(set(grams)), len(grams))


def self_similarity(texts: Sequence[str]) -> dict[str, Any]:
    """Measure how similar texts are to each other: cosines of TF-IDF vectors, fitted on them.

    Returns:
        ``rows`` compared; ``pairs``: mean over all pairs; ``nearest``: mean over the rows of the similarity with the
        most similar other row. Null with one row, or without words.
    """
    rows = len(texts)
    nothing = {"rows": rows, "pairs": None, "nearest": None}
    if rows < 2 or not any(len(word) > 1 for text in texts for word in split_words(text)):
        return nothing
    nearest, total, first = [], 0.0, 0
    for part in tfidf_similarities(texts, texts, Path("texts")):
        own = np.arange(len(part))
        part[own, first + own] = 0
        first += len(part)
        nearest.append(part.max(axis=1))
        total += float(part.sum())
    mean = float(np.concatenate(nearest).mean())
    return nothing | {"pairs": round(total / (rows * (rows - 1)), 6), "nearest": round(mean, 6)}


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
