"""The sums of a student's look-ups, compiled by Numba: a sum never leaves the processor's registers.

Numba is large beside a model of a megabyte, so it is used where it is asked for, and by no other module.
"""

from collections.abc import Callable, Sequence

import numpy as np

from gendist.errors import GendistError

FILTER_WIDTHS = [3, 4, 5]
"""Pieces in a window that the sums are written out for; with a loop over places they take five times as long."""
MIN_SUM = -(2**15)
"""Less than any sum of a window."""
MaxPool = Callable[[Sequence[np.ndarray]], np.ndarray]
"""Maps ids of texts, each (pieces,) with one piece or more, to each filter's largest sum: (texts, filters) int16."""


def compile_max_pool(table: np.ndarray, filters: Sequence[int]) -> MaxPool:
    """Compile the function that takes most of a prediction's time.

    Args:
        table: (pieces + 1, 5 places, filters) int16; the last piece adds nothing at the places after the first.
        filters: how many of them are 3, 4 and 5 pieces wide; the table has them in this order.

    Raises:
        GendistError: if Numba is not installed.
    """
    try:
        import numba
    except ImportError:
        raise GendistError("compiled sums need Numba: pip install numba") from None
    # Constants of what is compiled: with numbers that are known only later, it takes three times as long.
    three, four, every = (int(edge) for edge in np.cumsum(filters))
    nothing = len(table) - 1

    def largest_sums(table: np.ndarray, ids: np.ndarray, ends: np.ndarray, largest: np.ndarray) -> None:
        begin = 0
        for text in range(len(ends)):
            end = ends[text]
            most = largest[text]
            most[:] = MIN_SUM
            for i in range(begin, end):
                a = table[ids[i], 0]
                b = table[ids[i + 1] if i + 1 < end else nothing, 1]
                c = table[ids[i + 2] if i + 2 < end else nothing, 2]
                d = table[ids[i + 3] if i + 3 < end else nothing, 3]
                e = table[ids[i + 4] if i + 4 < end else nothing, 4]
                for f in range(three):
                    most[f] = max(most[f], np.int16(a[f] + b[f] + c[f]))
                for f in range(three, four):
                    most[f] = max(most[f], np.int16(a[f] + b[f] + c[f] + d[f]))
                for f in range(four, every):
                    most[f] = max(most[f], np.int16(a[f] + b[f] + c[f] + d[f] + e[f]))
            begin = end

    run = numba.njit(nogil=True)(largest_sums)

    def of_texts(texts: Sequence[np.ndarray]) -> np.ndarray:
        largest = np.empty((len(texts), every), np.int16)
        run(table, np.concatenate(texts), np.cumsum([len(ids) for ids in texts]), largest)
        return largest

    of_texts([np.zeros(1, np.int32)])  # compiled now, and not while somebody waits for a label
    return of_texts
