"""Compiled functions: exponentials, and where the compiled code is kept."""

import os
import subprocess
import sys

import numpy as np

from gendist.nn.numba_math import exp, exp32, exp64, max_abs, max_float32, njit_strict


@njit_strict
def _both(x, wide, narrow):
    for i in range(x.shape[0]):
        wide[i] = exp64(x[i])
        narrow[i] = exp32(np.float32(x[i]))


def test_exponentials_have_the_documented_relative_errors():
    x = np.append(np.linspace(-86, 80, 100_001), [0.0, -0.0, 1e-30])
    wide, narrow = np.empty_like(x), np.empty(len(x), np.float32)
    _both(x, wide, narrow)
    assert np.abs(wide / np.exp(x) - 1).max() < 1e-12
    assert np.abs(narrow / np.exp(x.astype(np.float32).astype(float)) - 1).max() < 1e-6


def test_exponentials_of_extreme_numbers_are_clamped():
    x = np.array([-np.inf, -1e4, -88.0, 1e4, np.inf])
    wide, narrow = np.empty(5), np.empty(5, np.float32)
    _both(x, wide, narrow)
    assert (narrow[:3] == 0).all() and (wide[:3] < 1e-38).all()
    assert (narrow[3:] > 1e38).all() and (wide[3:] > 1e300).all()


def test_functions_are_compiled_without_a_writable_cache_folder(tmp_path):
    """With files in place of all folders that Numba would cache in."""
    (tmp_path / "__pycache__").touch()
    home = tmp_path / "home"
    home.touch()
    (tmp_path / "program.py").write_text(
        "import numba\n"
        "from gendist.nn.numba_math import njit_strict\n"
        "def successor(x):\n    return x + 1\n"
        "try:\n    numba.njit(cache=True)(successor)\n"
        "except RuntimeError:\n    print(njit_strict(successor)(41))\n"
    )
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **dict.fromkeys(("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"), str(home))},
    )
    assert done.stdout.strip() == "42"


@njit_strict
def _largest_of(values):
    return max_float32(values), max_abs(values), exp(values[0])


def test_maxima_are_those_of_numpy_for_any_signs():
    rng = np.random.default_rng(0)
    for shift in (-3, 0, 3):
        values = (rng.standard_normal(1000) + shift).astype(np.float32)
        found = _largest_of(values)
        assert found[:2] == (values.max(), np.abs(values).max()) and found[2] == exp32(values[0])
        assert max_abs(values) == np.abs(values).max()
    assert max_float32(np.array([-np.inf, -2, -np.inf], np.float32)) == -2
    assert max_float32(np.array([-0.0, -1], np.float32)) == 0
    assert exp(2.0) == np.exp(2.0)
