"""Max-pooled convolutions from lookup tables, compiled by Numba. Sums stay in registers.

Optional: Numba is large compared with a model of one megabyte. No other module imports it.
"""

from collections.abc import Callable, Sequence

import numpy as np

from gendist.errors import GendistError

FILTER_WIDTHS = [3, 4, 5]
"""Filter widths with unrolled sums; a loop over positions takes five times as long."""
MIN_SUM = -(2**15)
"""Less than the sum of any window (int16)."""
MaxPool = Callable[[Sequence[np.ndarray]], np.ndarray]
"""Maps token ids, (pieces >= 1,) per text, to max-pooled sums (texts, filters) int16."""


def compile_max_pool(
    table: np.ndarray, filters: Sequence[int], *, bucket_starts: np.ndarray, bucket_biases: np.ndarray
) -> MaxPool:
    """Compile the max-pooled convolution, the largest part of a prediction's time.

    Args:
        table: (vocabulary + 1, 5 positions, filters) int16; the last row is padding, 0 at positions 1 to 4.
        filters: number of filters of width 3, 4 and 5, in the order of the table.
        bucket_starts: first position of each bucket, (buckets,) integers.
        bucket_biases: what is added to a sum by the bucket of its window's first piece, (buckets, filters) int16.

    Raises:
        GendistError: if Numba is not installed.
    """
    try:
        import numba
    except ImportError:
        raise GendistError("compiled=True needs Numba: pip install numba") from None
    # Closure constants: with loop bounds passed as arguments, the kernel takes three times as long.
    end3, end4, end5 = (int(edge) for edge in np.cumsum(filters))
    padding_id = len(table) - 1
    stops = np.append(bucket_starts[1:].astype(np.int64), np.iinfo(np.int64).max)

    def max_pool_kernel(
        table: np.ndarray, biases: np.ndarray, stops: np.ndarray, ids: np.ndarray, ends: np.ndarray, pooled: np.ndarray
    ) -> None:
        maxima = np.empty(end5, np.int16)
        begin = 0
        for text in range(len(ends)):
            end = ends[text]
            of_text = pooled[text]
            of_text[:] = MIN_SUM
            first = begin
            for bucket in range(len(stops)):
                last = end if end - begin < stops[bucket] else begin + stops[bucket]
                if first == last:
                    break
                maxima[:] = MIN_SUM
                for i in range(first, last):
                    a = table[ids[i], 0]
                    b = table[ids[i + 1] if i + 1 < end else padding_id, 1]
                    c = table[ids[i + 2] if i + 2 < end else padding_id, 2]
                    d = table[ids[i + 3] if i + 3 < end else padding_id, 3]
                    e = table[ids[i + 4] if i + 4 < end else padding_id, 4]
                    for f in range(end3):
                        maxima[f] = max(maxima[f], np.int16(a[f] + b[f] + c[f]))
                    for f in range(end3, end4):
                        maxima[f] = max(maxima[f], np.int16(a[f] + b[f] + c[f] + d[f]))
                    for f in range(end4, end5):
                        maxima[f] = max(maxima[f], np.int16(a[f] + b[f] + c[f] + d[f] + e[f]))
                bias = biases[bucket]
                for f in range(end5):
                    of_text[f] = max(of_text[f], np.int16(maxima[f] + bias[f]))
                first = last
            begin = end

    kernel = numba.njit(nogil=True)(max_pool_kernel)

    def max_pool(texts: Sequence[np.ndarray]) -> np.ndarray:
        pooled = np.empty((len(texts), end5), np.int16)
        kernel(table, bucket_biases, stops, np.concatenate(texts), np.cumsum([len(ids) for ids in texts]), pooled)
        return pooled

    max_pool([np.zeros(1, np.int32)])  # compile now, not on the first prediction
    return max_pool
