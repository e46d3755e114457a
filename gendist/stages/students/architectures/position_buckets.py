"""Buckets of positions in a text: positions of one bucket share parameters, as in T5 (Raffel et al. 2020)."""

import torch

BUCKET_STARTS = (0, 4, 8, 16, 32, 64)
"""First piece of each bucket; chosen in docs/notes/tuning.md."""


def position_buckets(length: int, device: torch.device) -> torch.Tensor:
    """Return the bucket of each position, (length,) int64."""
    positions = torch.arange(length, device=device)
    buckets = torch.zeros_like(positions)
    for start in BUCKET_STARTS[1:]:
        buckets = buckets + (positions >= start)
    return buckets
