"""Kim's network without multiplications: convolutions over looked up vectors are sums of looked up numbers.

A filter of width w over pieces i, i + 1, ... is a sum of w numbers, one for each piece and its place in the window.
With frozen weights all of them (places x vocabulary x filters) fit into tables, made when a model is loaded; a text
then takes look-ups, additions and a maximum (Kim 2014 for the network).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from gendist.errors import GendistError
from gendist.predict.model import LOOK_UP

TOGETHER = 8
"""Texts that go through the tables at once: few enough for a core's own cache."""
LARGEST = 32_000
"""What the largest possible sum is scaled to, so that no sum of 16-bit numbers overflows."""


class LookUp:
    """The tables of one network."""

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        """Multiply the weights out.

        Args:
            weights: ``embedding`` (vocabulary, width) and ``filters.W`` (filters, width, W) for each W, 8-bit
                with their scales by row (``embedding.scale``, ``filters.W.scale``); ``filters.W.bias``;
                ``classifier`` (classes, features) and ``classifier.bias``.
        """
        embedding = weights["embedding"] * weights["embedding.scale"][:, None]
        self._nothing = len(embedding)
        """Number of a piece of zeros, which follows every text."""
        embedding = np.concatenate([embedding, np.zeros_like(embedding[:1])])
        self._widths = sorted(int(name.split(".")[1]) for name in weights if name.count(".") == 1 and "filters" in name)
        products = {width: _products(embedding, weights, width) for width in self._widths}
        # The most that a filter can come to, over all texts.
        most = np.concatenate([np.abs(products[width]).max(1).sum(0) for width in self._widths])
        if not np.isfinite(most).all():
            raise ValueError("a weight is no number")
        scale = (LARGEST / np.maximum(most, 1e-12)).astype(np.float32)
        self._scale = 1 / scale
        self._bias = np.concatenate([weights[f"filters.{width}.bias"] for width in self._widths])
        self._tables: list[tuple[int, np.ndarray]] = []
        """For each place in a window: the first filter that reaches so far, and (vocabulary, those filters) int16."""
        for place in range(self._widths[-1]):
            part = np.concatenate([products[width][place] for width in self._widths if width > place], 1)
            first = len(scale) - part.shape[1]
            self._tables.append((first, np.ascontiguousarray(np.rint(part * scale[first:]).astype(np.int16))))
        self._classifier = np.ascontiguousarray(weights["classifier"].T)
        self._classifier_bias = weights["classifier.bias"]

    def logits(self, texts: Sequence[np.ndarray]) -> np.ndarray:
        """Map ids of pieces, one or more to a text, to logits: (texts, classes) float32.

        Raises:
            GendistError: if there is no such piece.
        """
        largest = np.empty((len(texts), len(self._scale)), np.int16)
        for first in range(0, len(texts), TOGETHER):
            try:
                self._pool(texts[first : first + TOGETHER], largest[first : first + TOGETHER])
            except IndexError as error:  # a tokenizer of more pieces than there are embeddings
                raise GendistError(f"the model cannot be run ({error})") from None
        features = largest * self._scale
        features += self._bias
        np.maximum(features, 0, out=features)
        return features @ self._classifier + self._classifier_bias

    def _pool(self, texts: Sequence[np.ndarray], largest: np.ndarray) -> None:
        """Write the largest value of each filter over the windows that start in a text, (texts, filters) int16."""
        gap = self._widths[-1] - 1  # so much nothing after each text that no window reaches the next
        starts = np.cumsum([0, *(len(ids) + gap for ids in texts)])
        padded = np.full(starts[-1], self._nothing, np.intp)
        for start, ids in zip(starts, texts, strict=False):
            padded[start : start + len(ids)] = ids
        count = len(padded) - gap
        sums = self._tables[0][1].take(padded[:count], 0)
        for place, (first, table) in enumerate(self._tables[1:], 1):
            sums[:, first:] += table.take(padded[place : place + count], 0)
        for row, (start, ids) in enumerate(zip(starts, texts, strict=False)):
            sums[start : start + len(ids)].max(0, out=largest[row])


def _products(embedding: np.ndarray, weights: Mapping[str, np.ndarray], width: int) -> list[np.ndarray]:
    """Return, for each place in a window, what every piece adds to every filter: (vocabulary, filters) float32."""
    filters = weights[f"filters.{width}"] * weights[f"filters.{width}.scale"][:, None, None]
    return [embedding @ np.ascontiguousarray(filters[:, :, place].T) for place in range(width)]


def read_look_up(content: bytes, classes: int) -> LookUp:
    """Make the tables from the bytes of a safetensors file.

    Raises:
        GendistError: if it holds other weights, or those of another number of classes.
    """
    try:
        weights = load(content)
        found = weights["classifier"].shape[0]
        if found == classes:
            return LookUp(weights)
        reason = f"{found} classes in place of {classes}"
    except (SafetensorError, KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        reason = repr(error)
    raise GendistError(f"{LOOK_UP}: cannot be used for this model ({reason}); export it again")
