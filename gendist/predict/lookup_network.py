"""Kim's network (Kim 2014) as table lookups: embedding and convolution are multiplied out when a model is loaded.

A filter of width w at piece i is a sum of w numbers, one per piece and position in the window. With frozen weights,
all of them fit into one table (vocabulary, positions, filters). Inference takes lookups, additions and a maximum.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from gendist.errors import GendistError
from gendist.predict.exported_model import LOOKUP_WEIGHTS
from gendist.predict.numba_lookup import FILTER_WIDTHS, MIN_SUM, MaxPool, compile_max_pool

WINDOWS_PER_BATCH = 512
"""Windows per batch, unless one text has more: their sums fit in a core's cache."""
MAX_BLAS_PRODUCTS = 2**17
"""Multiplications per BLAS call: for more, BLAS starts threads on all cores, which then spin."""
INT16_LIMIT = 32_000
"""Scale of the largest possible sum, so that no int16 sum overflows."""


class LookupNetwork:
    """Kim's network with its embedding and filters in one int16 table."""

    def __init__(self, weights: Mapping[str, np.ndarray], compiled: bool = False) -> None:
        """Build the table from the weights.

        Args:
            weights: ``embedding`` (vocabulary, width) and ``filters.W`` (filters, width, W) for each W, int8
                with one scale per row (``embedding.scale``, ``filters.W.scale``); ``filters.W.bias``;
                ``classifier`` (classes, features) and ``classifier.bias``. Features are the filters, and, if the
                classifier has more columns, the embeddings' sum over the square root of their number. Optional:
                ``positions.embedding`` (buckets, width), added to all vectors of a window by the bucket of its
                first piece; buckets begin at ``positions.starts`` (buckets,).
            compiled: pool with Numba.

        Raises:
            GendistError: if ``compiled`` and Numba is missing, or the filter widths are not supported.
        """
        embedding = weights["embedding"] * weights["embedding.scale"][:, None]
        self._padding_id = len(embedding)
        """Id of the padding after every text, with zeros in the table."""
        embedding = np.concatenate([embedding, np.zeros_like(embedding[:1])])
        widths = sorted(int(name.split(".")[1]) for name in weights if name.count(".") == 1 and "filters" in name)
        filters = {width: _position_filters(weights, width) for width in widths}
        # Upper bound of each filter's output over all texts. The products are computed twice: all take more memory.
        bounds = np.concatenate(
            [np.stack([np.abs(embedding @ part).max(0) for part in filters[width]]).sum(0) for width in widths]
        )
        self.bucket_starts = _bucket_starts(weights)
        """First position of each bucket, (buckets,) integers."""
        biases = _position_biases(weights, [filters[width] for width in widths], len(self.bucket_starts))
        # Padding, whose sum is the smallest, also gets a bias: three times the largest one keeps it the smallest.
        largest_bias = np.abs(biases).max(0)
        bounds += 3 * largest_bias
        if not np.isfinite(bounds).all():
            raise ValueError("a weight is not finite")
        scale = (INT16_LIMIT / np.maximum(bounds, 1e-12)).astype(np.float32)
        self.sum_scale = scale
        """Scale that rounds the products of each filter to int16, (filters,) float32."""
        self._scale = 1 / scale
        self._bias = np.concatenate([weights[f"filters.{width}.bias"] for width in widths])
        self.bucket_biases = np.rint(biases * scale).astype(np.int16)
        """What is added to a sum by the bucket of its window's first piece, (buckets, filters) int16."""
        self._has_biases = bool(self.bucket_biases.any())
        self._window_biases = np.zeros((0, len(scale)), np.int16)
        """Biases of the first windows of a text (windows, filters), as many as were needed so far."""
        self._max_width = widths[-1]
        table = np.zeros((len(embedding), self._max_width, len(scale)), np.int16)
        for position in range(self._max_width):
            start = 0
            for width in widths:
                end = start + len(weights[f"filters.{width}"])
                if width > position:  # narrower filters have no such position
                    table[:, position, start:end] = np.rint(embedding @ filters[width][position] * scale[start:end])
                start = end
        table[self._padding_id, 0] = MIN_SUM + np.ceil(largest_bias * scale)
        # A piece's terms of all positions are contiguous: memory latency dominates.
        self.table = table.reshape(-1, len(scale))
        """Rounded products, ((vocabulary + 1) * positions, filters) int16; the last piece is the padding."""
        columns = weights["classifier"].T
        if len(columns) not in (len(scale), len(scale) + embedding.shape[1]):
            raise ValueError(f"{len(columns)} features of the classifier, but {len(scale)} filters")
        self._classifier = np.ascontiguousarray(columns[: len(scale)])
        self._piece_logits = embedding[:-1] @ columns[len(scale) :] if len(columns) > len(scale) else None
        self._classifier_bias = weights["classifier.bias"]
        self.max_pool: MaxPool = self._max_pool_numpy
        """Returns the maximum of each filter over all windows of a text, before scaling."""
        if compiled:
            if widths != FILTER_WIDTHS:
                raise GendistError(
                    f"compiled=True supports filter widths {FILTER_WIDTHS}, not {widths}; load with compiled=False"
                )
            self.max_pool = compile_max_pool(
                table,
                [len(weights[f"filters.{width}"]) for width in FILTER_WIDTHS],
                bucket_starts=self.bucket_starts,
                bucket_biases=self.bucket_biases,
            )

    def logits(self, texts: Sequence[np.ndarray]) -> np.ndarray:
        """Map token ids, (pieces >= 1,) per text, to logits (texts, classes) float32.

        Raises:
            GendistError: if an id is not in the vocabulary.
        """
        if not texts:
            return np.empty((0, len(self._classifier_bias)), np.float32)
        ids = np.concatenate(texts)
        unknown = ids.max()
        if unknown >= self._padding_id:  # the tokenizer of another model
            raise GendistError(f"the model cannot be run (it has {self._padding_id} pieces, no piece {unknown})")
        features = self.max_pool(texts) * self._scale
        features += self._bias
        np.maximum(features, 0, out=features)
        logits = self._classify(features) + self._classifier_bias
        if self._piece_logits is not None:
            lengths = np.array([len(text) for text in texts])
            sums = np.add.reduceat(self._piece_logits[ids], np.cumsum(lengths) - lengths)
            logits += sums / np.sqrt(lengths)[:, None].astype(np.float32)
        return logits

    def _classify(self, features: np.ndarray) -> np.ndarray:
        """Multiply features (texts, filters) by the classifier's weights, in batches of texts."""
        rows = max(1, MAX_BLAS_PRODUCTS // self._classifier.size)
        if len(features) <= rows:
            product: np.ndarray = features @ self._classifier
            return product
        parts = [features[start : start + rows] @ self._classifier for start in range(0, len(features), rows)]
        return np.concatenate(parts)

    def _max_pool_numpy(self, texts: Sequence[np.ndarray]) -> np.ndarray:
        """Return the maximum of each filter over all windows of a text, (texts, filters) int16."""
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        filters, longest = len(self._scale), len(texts[order[-1]])
        pooled = np.empty((len(texts), filters), np.int16)
        buffers = np.empty((2, max(longest, min(WINDOWS_PER_BATCH, longest * len(texts))), filters), np.int16)
        for batch in _length_batches(order, texts):
            count, windows = len(batch), len(batch) * len(texts[batch[-1]])
            rows = self._table_rows([texts[row] for row in batch])
            sums, terms = buffers[:, :windows]
            # All rows are in range; mode "clip" saves a copy in NumPy.
            self.table.take(rows[:windows], 0, sums, "clip")
            for position in range(1, self._max_width):
                rows += 1
                self.table.take(rows[position * count :][:windows], 0, terms, "clip")
                sums += terms
            sums = sums.reshape(-1, count, filters)
            if self._has_biases:
                sums += self._biases_of_windows(len(sums))[:, None]
            pooled[batch] = np.maximum.reduce(sums, 0)
        return pooled

    def _biases_of_windows(self, windows: int) -> np.ndarray:
        """Return the bias of each of the first windows of a text, (windows, filters) int16."""
        biases = self._window_biases  # once: several threads may predict
        if windows > len(biases):
            buckets = np.searchsorted(self.bucket_starts, np.arange(windows), side="right") - 1
            self._window_biases = biases = self.bucket_biases[buckets]
        return biases[:windows]

    def _table_rows(self, texts: Sequence[np.ndarray]) -> np.ndarray:
        """Return the table rows of position 0 for padded texts, ((longest + max_width - 1) * texts,) intp.

        Piece-major: the first pieces of all texts, then the second ones, so that sums and maxima are contiguous.
        """
        ids = np.full((len(texts[-1]) + self._max_width - 1, len(texts)), self._padding_id, np.intp)
        for column, text in enumerate(texts):
            ids[: len(text), column] = text
        return ids.ravel() * self._max_width


def _length_batches(order: Sequence[int], texts: Sequence[np.ndarray]) -> Iterator[Sequence[int]]:
    """Batch texts sorted by length; a padded batch has at most ``WINDOWS_PER_BATCH`` windows."""
    start = 0
    for last, row in enumerate(order):
        if last > start and (last + 1 - start) * len(texts[row]) > WINDOWS_PER_BATCH:
            yield order[start:last]
            start = last
    yield order[start:]


def _position_filters(weights: Mapping[str, np.ndarray], width: int) -> list[np.ndarray]:
    """Return the filters by position in the window, (width of the embedding, filters) float32 each."""
    filters = weights[f"filters.{width}"] * weights[f"filters.{width}.scale"][:, None, None]
    return [np.ascontiguousarray(filters[:, :, position].T) for position in range(width)]


def _bucket_starts(weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the first position of each bucket, (buckets,); one bucket if the network has no position embedding."""
    starts = weights.get("positions.starts", np.zeros(1, np.int32))
    if starts.ndim != 1 or starts.dtype.kind != "i" or starts[0] or (np.diff(starts) <= 0).any():
        raise ValueError(f"positions.starts is {starts.tolist()}, expected increasing positions from 0")
    return starts


def _position_biases(
    weights: Mapping[str, np.ndarray], filters: Sequence[Sequence[np.ndarray]], buckets: int
) -> np.ndarray:
    """Return what the position embedding adds to each filter's output, (buckets, filters) float32."""
    sums = np.concatenate([np.sum(parts, 0) for parts in filters], 1)  # (width, filters)
    embedding = weights.get("positions.embedding", np.zeros((1, len(sums)), np.float32))
    if len(embedding) != buckets:
        raise ValueError(f"{len(embedding)} position embeddings, but {buckets} buckets")
    return np.asarray(embedding @ sums)


def load_lookup_network(content: bytes, classes: int, compiled: bool = False) -> LookupNetwork:
    """Build the network from the bytes of a safetensors file.

    Raises:
        GendistError: if weights are missing or damaged, the number of classes differs, or as ``LookupNetwork``.
    """
    try:
        weights = load(content)
        found = weights["classifier"].shape[0]
        if found == classes:
            return LookupNetwork(weights, compiled)
        reason = f"{found} classes, expected {classes}"
    except (SafetensorError, KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        reason = repr(error)
    raise GendistError(f"{LOOKUP_WEIGHTS}: cannot be used for this model ({reason}); export it again")
