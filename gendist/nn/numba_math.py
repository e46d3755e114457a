"""Numba compilation and the math functions that compiled code calls: exp, maxima, bf16 conversion."""

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

FASTMATH_FLAGS = {"arcp", "contract", "nnan", "nsz", "reassoc"}
"""LLVM flags of ``njit_fastmath``: sums in any order, multiplication by reciprocals."""

if not os.environ.get("NUMBA_CACHE_DIR"):
    # Numba's cache key covers the caller's file only. Code of these files is inlined into callers, so their hash names
    # the folder.
    _folder = Path(__file__).parent
    _contents = b"".join((_folder / name).read_bytes() for name in ("numba_math.py", "int8_kernels.py"))
    _name = f"compiled-{hashlib.sha256(_contents).hexdigest()[:12]}"
    numba.config.CACHE_DIR = str(_folder / "__pycache__" / _name)  # type: ignore[attr-defined]

# Helpers set fastmath explicitly: otherwise they inherit it from their first caller, for the whole process.
_strict_helper = numba.njit(error_model="numpy", fastmath=False)
_overload = functools.partial(overload, jit_options={"error_model": "numpy", "fastmath": False})

_LOG2_E, _LN2_HIGH, _LN2_LOW = 1.4426950408889634, 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LN2_HIGH_32, _LN2_LOW_32 = np.float32(0.693359375), np.float32(-2.12194440e-4)


def njit_strict(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on the first call with strict floating-point semantics: bit-identical results on all processors.

    The compiled code is cached on disk if a cache folder is writable.
    """
    return _njit(function, fastmath=False)


def njit_fastmath(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile as ``njit_strict`` with ``FASTMATH_FLAGS``, for exact sums or results whose last digits do not matter.

    The last digits may differ between processes: freshly compiled and cached code are not the same.
    """
    return _njit(function, fastmath=FASTMATH_FLAGS)


def _njit(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    try:
        return numba.njit(cache=True, error_model="numpy", **options)(function)
    except RuntimeError:  # no writable cache folder
        return numba.njit(error_model="numpy", **options)(function)


# The exponentials are polynomials, because LLVM vectorises these and not calls to libm.


@_strict_helper
def exp64(x: float) -> float:
    """Return exp(x) in float64, relative error 1e-12; ``x`` is clamped to -700 to 700."""
    x = min(max(x, -700.0), 700.0)
    whole = np.rint(x * _LOG2_E)
    # exp(r) as the eighth power of a short series.
    r = 0.125 * ((x - whole * _LN2_HIGH) - whole * _LN2_LOW)
    tail = 1 / 24 + r * (1 / 120 + r * (1 / 720))
    series = 1.0 + r * (1.0 + r * (0.5 + r * (1 / 6 + r * tail)))
    square = series * series
    fourth = square * square
    power_of_two = np.int64((np.int64(whole) + 1023) << 52).view(np.float64)
    result: float = fourth * fourth * power_of_two
    return result


@_strict_helper
def exp32(x: np.float32) -> np.float32:
    """Return exp(x) in float32, relative error 1e-6; ``x`` is clamped to 88, and 0 is returned below -87."""
    bounded = min(max(x, np.float32(-87.0)), np.float32(88.0))
    whole = np.rint(bounded * np.float32(_LOG2_E))
    r = (bounded - whole * _LN2_HIGH_32) - whole * _LN2_LOW_32
    tail = np.float32(1 / 24) + r * (np.float32(1 / 120) + r * (np.float32(1 / 720) + r * np.float32(1 / 5040)))
    series = np.float32(1) + r * (np.float32(1) + r * (np.float32(0.5) + r * (np.float32(1 / 6) + r * tail)))
    power_of_two = np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)
    return series * power_of_two if x > np.float32(-87.0) else np.float32(0)


def exp(x: float) -> float:
    """Return the exponential of ``x``; compiled code computes it in the precision of ``x``."""
    return math.exp(x)


@_overload(exp)
def _exp(x):  # type: ignore[no-untyped-def]  # Numba requires the same signature as exp
    if x == numba.types.float32:
        return lambda x: exp32(x)
    return lambda x: exp64(x)


# LLVM does not vectorise floating-point maxima. The bits, read as integers, have the same order once the bits of
# negative numbers are flipped.


@_strict_helper
def max_float32(values: np.ndarray) -> np.float32:
    """Return the maximum of a contiguous float32 array."""
    bits, best = values.view(np.int32), np.int32(-(2**31))
    for i in range(bits.shape[0]):
        best = max(best, np.int32(bits[i] ^ ((bits[i] >> np.int32(31)) & np.int32(0x7FFFFFFF))))
    return np.int32(best ^ ((best >> np.int32(31)) & np.int32(0x7FFFFFFF))).view(np.float32)


def max_abs(values: np.ndarray) -> float:
    """Return the largest absolute value; compiled code requires a contiguous array."""
    return float(np.abs(values).max())


@_overload(max_abs)
def _max_abs(values):  # type: ignore[no-untyped-def]
    integer, real = (np.int32, np.float32) if values.dtype == numba.types.float32 else (np.int64, np.float64)
    positive = integer(np.iinfo(integer).max)

    def find(values):  # type: ignore[no-untyped-def]
        bits, best = values.view(integer), integer(0)
        for i in range(bits.shape[0]):
            best = max(best, integer(bits[i] & positive))
        return integer(best).view(real)

    return find


# NumPy has no bf16: a bf16 array is a uint16 array of the upper halves of float32 numbers.


def as_float32(x: float) -> float:
    """Return an element of a float32 array, or of a bf16 array (as uint16), as float32; for compiled code."""
    return x


@_overload(as_float32)
def _as_float32(x):  # type: ignore[no-untyped-def]
    if x == numba.types.uint16:
        return lambda x: np.int32(np.int32(x) << np.int32(16)).view(np.float32)
    return lambda x: x


def cast_like(x: float, array: np.ndarray) -> float:
    """Cast a float32 to the element type of ``array``, float32 or bf16 (as uint16); for compiled code."""
    return x


@_overload(cast_like)
def _cast_like(x, array):  # type: ignore[no-untyped-def]
    if array.dtype == numba.types.uint16:

        def round_to_even(x, array):  # type: ignore[no-untyped-def]
            bits = np.float32(x).view(np.int32)
            half = np.int32(0x7FFF) + ((bits >> np.int32(16)) & np.int32(1))
            return np.uint16(np.int32(bits + half) >> np.int32(16))

        return round_to_even
    return lambda x, array: x
