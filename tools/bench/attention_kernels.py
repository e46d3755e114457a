"""Attention kernels of PyTorch for a decode step: one query per slot over its KV cache."""

from collections.abc import Callable
from functools import partial

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel


def kernels(
    *, slots: int, length: int, heads: int, width: int, device: torch.device
) -> dict[str, Callable[[], torch.Tensor]]:
    """Return kernels by name, on the same random tensors; each returns (slots, heads, width).

    Rows are at random positions. Kernels with a mask compute all positions, kernels with lengths only those of the row.
    A kernel raises if the PyTorch version or the device does not support it.
    """
    random = torch.Generator(device).manual_seed(0)
    cache = torch.randn(slots, length, 2, heads, width, device=device, generator=random).bfloat16()
    query = torch.randn(slots, heads, width, device=device, generator=random).bfloat16()
    positions = torch.randint(0, length, (slots,), device=device, generator=random)
    later = torch.arange(length, device=device) > positions[:, None]
    mask = torch.zeros(slots, length, dtype=query.dtype, device=device).masked_fill_(later, -torch.inf)
    keys, values = cache.transpose(1, 3).unbind(2)  # (slots, heads, length, width)

    def masked(backend: SDPBackend) -> torch.Tensor:
        with sdpa_kernel(backend):
            read = functional.scaled_dot_product_attention(query[:, :, None], keys, values, mask[:, None, None])
        return read[:, :, 0]

    def products() -> torch.Tensor:
        scores = torch.matmul(keys, query[..., None])[..., 0] * width**-0.5 + mask[:, None]
        return torch.matmul(torch.softmax(scores, 2)[:, :, None], values)[:, :, 0]

    starts = torch.arange(slots + 1, dtype=torch.int32, device=device)
    used = (positions + 1).int()
    flat_keys, flat_values = cache.flatten(0, 1).unbind(1)  # (slots length, heads, width)

    def efficient() -> torch.Tensor:
        read = torch.ops.aten._efficient_attention_forward(
            *(query[None], flat_keys[None], flat_values[None], None, starts, starts * length, 1, length, 0.0, 0, False),
            seqlen_k=used,
        )
        return read[0][0]

    def flash() -> torch.Tensor:
        read = torch.ops.aten._flash_attention_forward(
            *(query, flat_keys, flat_values, starts, starts * length, 1, length, 0.0, False, False), seqused_k=used
        )
        return read[0]

    return {
        "efficient, masked": partial(masked, SDPBackend.EFFICIENT_ATTENTION),
        "plain, masked": partial(masked, SDPBackend.MATH),
        "cuDNN, masked": partial(masked, SDPBackend.CUDNN_ATTENTION),
        "products": products,
        "efficient, lengths": efficient,
        "flash, lengths": flash,
    }
