"""Measure a device's memory bandwidth and matrix throughput."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from tools.bench.timed_pairs import rate

SIZE, SIDE, REPEATS = 2**31, 8192, 20
"""Bytes to copy, rows and columns of the matrices, and repetitions of both."""


@dataclass(frozen=True)
class Roofline:
    """Measured limits of a device."""

    bytes_per_second: float
    """Bytes read and written."""
    operations_per_second: float
    """Multiplications and additions in bf16."""

    def seconds(self, moved: float, operations: float) -> float:
        """Return the minimum time to move bytes and execute operations, which overlap."""
        return max(moved / self.bytes_per_second, operations / self.operations_per_second)


def roofline(device: torch.device, size: int = SIZE, side: int = SIDE, repeats: int = REPEATS) -> Roofline:
    """Measure a device by copies, and by products of square bf16 matrices.

    The data is random: with zeros or ones, a GPU draws less power and clocks higher.
    """
    return Roofline(_copied(device, size, repeats), _multiplied(device, side, repeats))


def _copied(device: torch.device, size: int, repeats: int) -> float:
    source = torch.randn(size // 4, device=device)
    target = torch.empty_like(source)
    return rate(_repeated(lambda: target.copy_(source), 2.0 * source.nbytes, repeats))


def _multiplied(device: torch.device, side: int, repeats: int) -> float:
    left, right = (torch.randn(side, side, device=device).bfloat16() for _ in range(2))
    product = torch.empty_like(left)
    return rate(_repeated(lambda: torch.mm(left, right, out=product), 2.0 * side**3, repeats))


def _repeated(work: Callable[[], object], amount: float, repeats: int) -> Callable[[], float]:
    def repeat() -> float:
        for _ in range(repeats):
            work()
        return amount * repeats

    return repeat
