"""Kim's network without multiplications: convolutions over looked up vectors are sums of looked up numbers.

A filter of width w over pieces i, i + 1, ... is a sum of w numbers, one for each piece and its place in the window.
With frozen weights all of them (vocabulary x places x filters) fit into a table, made when a model is loaded; a text
then takes look-ups, additions and a maximum (Kim 2014 for the network).
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from gendist.errors import GendistError
from gendist.predict.exported_model import LOOKUP_WEIGHTS
from gendist.predict.numba_lookup import FILTER_WIDTHS, MIN_SUM, MaxPool, compile_max_pool

WINDOWS_PER_BATCH = 512
"""Windows of texts that are summed at once, unless one text has more: their sums stay in a core's own cache."""
MAX_BLAS_PRODUCTS = 2**17
"""Multiplications that BLAS gets at once: for more it takes all cores, and keeps them busy for a while afterwards."""
INT16_LIMIT = 32_000
"""What the largest possible sum is scaled to, so that no sum of 16-bit numbers overflows."""


class LookupNetwork:
    """The table of one network."""

    def __init__(self, weights: Mapping[str, np.ndarray], compiled: bool = False) -> None:
        """Multiply the weights out.

        Args:
            weights: ``embedding`` (vocabulary, width) and ``filters.W`` (filters, width, W) for each W, 8-bit
                with their scales by row (``embedding.scale``, ``filters.W.scale``); ``filters.W.bias``;
                ``classifier`` (classes, features) and ``classifier.bias``.
            compiled: add up with Numba.

        Raises:
            GendistError: if Numba is asked for and not installed, or cannot be used for such windows.
        """
        embedding = weights["embedding"] * weights["embedding.scale"][:, None]
        self._nothing = len(embedding)
        """Number of a piece that follows every text and adds nothing to its windows."""
        embedding = np.concatenate([embedding, np.zeros_like(embedding[:1])])
        widths = sorted(int(name.split(".")[1]) for name in weights if name.count(".") == 1 and "filters" in name)
        products = {width: _position_tables(embedding, weights, width) for width in widths}
        # The most that a filter can come to, over all texts.
        most = np.concatenate([np.abs(products[width]).max(1).sum(0) for width in widths])
        if not np.isfinite(most).all():
            raise ValueError("a weight is no number")
        scale = (INT16_LIMIT / np.maximum(most, 1e-12)).astype(np.float32)
        self._scale = 1 / scale
        self._bias = np.concatenate([weights[f"filters.{width}.bias"] for width in widths])
        self._places = widths[-1]
        table = np.zeros((len(embedding), self._places, len(scale)), np.int16)
        for place in range(self._places):
            part = np.concatenate([products[width][place] for width in widths if width > place], 1)
            first = len(scale) - part.shape[1]  # narrower filters do not reach so far
            table[:, place, first:] = np.rint(part * scale[first:])
        table[self._nothing, 0] = MIN_SUM
        # What a piece adds lies together for all places, since most of the time goes by waiting for memory.
        self._table = table.reshape(-1, len(scale))
        self._classifier = np.ascontiguousarray(weights["classifier"].T)
        self._classifier_bias = weights["classifier.bias"]
        self._largest: MaxPool = self._by_numpy
        if compiled:
            if widths != FILTER_WIDTHS:
                raise GendistError(f"no compiled sums for windows of {widths} pieces; load without them")
            self._largest = compile_max_pool(table, [len(weights[f"filters.{width}"]) for width in FILTER_WIDTHS])

    def logits(self, texts: Sequence[np.ndarray]) -> np.ndarray:
        """Map ids of pieces, one or more to a text, to logits: (texts, classes) float32.

        Raises:
            GendistError: if there is no such piece.
        """
        if not texts:
            return np.empty((0, len(self._classifier_bias)), np.float32)
        unknown = np.concatenate(texts).max()
        if unknown >= self._nothing:  # the tokenizer is of another model
            raise GendistError(f"the model cannot be run (it has {self._nothing} pieces, no piece {unknown})")
        features = self._largest(texts) * self._scale
        features += self._bias
        np.maximum(features, 0, out=features)
        return self._classified(features) + self._classifier_bias

    def _classified(self, features: np.ndarray) -> np.ndarray:
        """Multiply features (texts, filters) by the classifier's weights, some texts at a time."""
        rows = max(1, MAX_BLAS_PRODUCTS // self._classifier.size)
        if len(features) <= rows:
            product: np.ndarray = features @ self._classifier
            return product
        parts = [features[first : first + rows] @ self._classifier for first in range(0, len(features), rows)]
        return np.concatenate(parts)

    def _by_numpy(self, texts: Sequence[np.ndarray]) -> np.ndarray:
        """Return the largest value of each filter over the windows that start in a text, (texts, filters) int16."""
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        filters, longest = len(self._scale), len(texts[order[-1]])
        largest = np.empty((len(texts), filters), np.int16)
        room = np.empty((2, max(longest, min(WINDOWS_PER_BATCH, longest * len(texts))), filters), np.int16)
        for picks in _length_batches(order, texts):
            count, windows = len(picks), len(picks) * len(texts[picks[-1]])
            rows = self._rows([texts[row] for row in picks])
            sums, added = room[:, :windows]
            # Every row is in the table; "clip" only spares NumPy a copy.
            self._table.take(rows[:windows], 0, sums, "clip")
            for place in range(1, self._places):
                rows += 1
                self._table.take(rows[place * count :][:windows], 0, added, "clip")
                sums += added
            largest[picks] = np.maximum.reduce(sums.reshape(-1, count * filters), 0).reshape(count, filters)
        return largest

    def _rows(self, texts: Sequence[np.ndarray]) -> np.ndarray:
        """Return the table's rows for the first place in a window, ((longest + places - 1) x texts) intp.

        The first pieces of all texts come first, then their second ones: sums and maxima run over all texts at a
        stretch.
        """
        ids = np.full((len(texts[-1]) + self._places - 1, len(texts)), self._nothing, np.intp)
        for column, text in enumerate(texts):
            ids[: len(text), column] = text
        return ids.ravel() * self._places


def _length_batches(order: Sequence[int], texts: Sequence[np.ndarray]) -> Iterator[Sequence[int]]:
    """Cut texts in the order of their lengths into groups of no more than ``WINDOWS_PER_BATCH`` once they are padded."""
    first = 0
    for last, row in enumerate(order):
        if last > first and (last + 1 - first) * len(texts[row]) > WINDOWS_PER_BATCH:
            yield order[first:last]
            first = last
    yield order[first:]


def _position_tables(embedding: np.ndarray, weights: Mapping[str, np.ndarray], width: int) -> list[np.ndarray]:
    """Return, for each place in a window, what every piece adds to every filter: (vocabulary, filters) float32."""
    filters = weights[f"filters.{width}"] * weights[f"filters.{width}.scale"][:, None, None]
    return [embedding @ np.ascontiguousarray(filters[:, :, place].T) for place in range(width)]


def load_lookup_network(content: bytes, classes: int, compiled: bool = False) -> LookupNetwork:
    """Make the table from the bytes of a safetensors file.

    Raises:
        GendistError: if it holds other weights, or those of another number of classes, or as ``LookupNetwork``.
    """
    try:
        weights = load(content)
        found = weights["classifier"].shape[0]
        if found == classes:
            return LookupNetwork(weights, compiled)
        reason = f"{found} classes in place of {classes}"
    except (SafetensorError, KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        reason = repr(error)
    raise GendistError(f"{LOOKUP_WEIGHTS}: cannot be used for this model ({reason}); export it again")
