"""Functions compiled for the processor at hand (Numba), where passes over memory cost more than arithmetic."""

import functools
import hashlib
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.extending import overload

LOOSE = {"arcp", "contract", "nnan", "nsz", "reassoc"}
"""What loosely compiled functions may do: take sums in any order, make products of divisions."""

if not os.environ.get("NUMBA_CACHE_DIR"):
    # Numba compiles a function anew when its own file has changed; what is here is compiled into functions of others.
    _contents = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    numba.config.CACHE_DIR = str(  # type: ignore[attr-defined]
        Path(__file__).parent / "__pycache__" / f"compiled-{_contents}"
    )

# What others call says itself that it is strict: else it is compiled as loosely as its first caller in a process, for
# all later ones there, and they keep that code.
_shared = numba.njit(error_model="numpy", fastmath=False)
_overload = functools.partial(overload, jit_options={"error_model": "numpy", "fastmath": False})

_LOG2_E, _LN2_HIGH, _LN2_LOW = 1.4426950408889634, 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LN2_HIGH_32, _LN2_LOW_32 = np.float32(0.693359375), np.float32(-2.12194440e-4)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile at the first call, and keep the result for later processes where a folder can be written to.

    Numbers are computed as they are written down: the same on all processors, to the last digit.
    """
    return _compiled(function, fastmath=False)


def compiled_loosely(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile likewise, for sums that are exact, or whose last digits do not matter.

    These may differ from one process to the next: what is compiled now and what was kept are not the same code.
    """
    return _compiled(function, fastmath=LOOSE)


def _compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    try:
        return numba.njit(cache=True, error_model="numpy", **options)(function)
    except RuntimeError:  # neither beside the module nor in the user's cache
        return numba.njit(error_model="numpy", **options)(function)


# The compiler makes vector instructions of these, and none of the mathematical library's.


@_shared
def exp64(x: float) -> float:
    """Return e to the power of a float64 between -700 and 700, with an error of 1e-14 of it."""
    x = min(max(x, -700.0), 700.0)
    whole = np.rint(x * _LOG2_E)
    r = (x - whole * _LN2_HIGH) - whole * _LN2_LOW
    tail = 1 / 40320 + r * (1 / 362880 + r * (1 / 3628800 + r * (1 / 39916800 + r * (1 / 479001600 + r / 6227020800))))
    head = 1 / 6 + r * (1 / 24 + r * (1 / 120 + r * (1 / 720 + r * (1 / 5040 + r * tail))))
    power_of_two = np.int64((np.int64(whole) + 1023) << 52).view(np.float64)
    result: float = (1.0 + r * (1.0 + r * (0.5 + r * head))) * power_of_two
    return result


@_shared
def exp32(x: np.float32) -> np.float32:
    """Return e to the power of a float32 of at most 88, with an error of 1e-6 of it; of less than -87, zero."""
    bounded = min(max(x, np.float32(-87.0)), np.float32(88.0))
    whole = np.rint(bounded * np.float32(_LOG2_E))
    r = (bounded - whole * _LN2_HIGH_32) - whole * _LN2_LOW_32
    tail = np.float32(1 / 24) + r * (np.float32(1 / 120) + r * (np.float32(1 / 720) + r * np.float32(1 / 5040)))
    series = np.float32(1) + r * (np.float32(1) + r * (np.float32(0.5) + r * (np.float32(1 / 6) + r * tail)))
    power_of_two = np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)
    return series * power_of_two if x > np.float32(-87.0) else np.float32(0)


def exp(x: float) -> float:
    """Return e to the power of ``x``; in compiled functions in its own precision."""
    return math.exp(x)


@_overload(exp)
def _exp(x):  # type: ignore[no-untyped-def]  # the compiler wants both signatures alike
    if x == numba.types.float32:
        return lambda x: exp32(x)
    return lambda x: exp64(x)


# Of comparisons of floating-point numbers the compiler makes no vector instructions. Their bits, as integers, are in
# the same order; those of negative numbers once they are turned round.


@_shared
def largest(values: np.ndarray) -> np.float32:
    """Return the largest of some float32 numbers that lie side by side."""
    bits, best = values.view(np.int32), np.int32(-(2**31))
    for i in range(bits.shape[0]):
        best = max(best, np.int32(bits[i] ^ ((bits[i] >> np.int32(31)) & np.int32(0x7FFFFFFF))))
    return np.int32(best ^ ((best >> np.int32(31)) & np.int32(0x7FFFFFFF))).view(np.float32)


def largest_size(values: np.ndarray) -> float:
    """Return the largest of some numbers, without their signs; in compiled functions they must lie side by side."""
    return float(np.abs(values).max())


@_overload(largest_size)
def _largest_size(values):  # type: ignore[no-untyped-def]
    integer, real = (np.int32, np.float32) if values.dtype == numba.types.float32 else (np.int64, np.float64)
    positive = integer(np.iinfo(integer).max)

    def find(values):  # type: ignore[no-untyped-def]
        bits, best = values.view(integer), integer(0)
        for i in range(bits.shape[0]):
            best = max(best, integer(bits[i] & positive))
        return integer(best).view(real)

    return find


# NumPy has no bf16: such numbers are held as their 16 bits, the upper half of a float32's.


def widened(x: float) -> float:
    """Return a number of an array of float32, or of bf16 held as uint16, as float32; for compiled functions."""
    return x


@_overload(widened)
def _widened(x):  # type: ignore[no-untyped-def]
    if x == numba.types.uint16:
        return lambda x: np.int32(np.int32(x) << np.int32(16)).view(np.float32)
    return lambda x: x


def narrowed(x: float, array: np.ndarray) -> float:
    """Return a float32 as an array of float32, or of bf16 held as uint16, holds it; for compiled functions."""
    return x


@_overload(narrowed)
def _narrowed(x, array):  # type: ignore[no-untyped-def]
    if array.dtype == numba.types.uint16:

        def to_even(x, array):  # type: ignore[no-untyped-def]
            bits = np.float32(x).view(np.int32)
            half = np.int32(0x7FFF) + ((bits >> np.int32(16)) & np.int32(1))
            return np.uint16(np.int32(bits + half) >> np.int32(16))

        return to_even
    return lambda x, array: x
