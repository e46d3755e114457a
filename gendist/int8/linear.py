"""Linear layers in 8-bit integers, whose results are the same on every machine.

Weights are rounded to 8 bits by output, activations by row (Dettmers et al. 2022, LLM.int8(), without its outliers).
Sums of integers have no order: a row's result depends on neither its batch, nor threads, nor the kind of processor.
What is left to rounding is done in float64, where it is far too small to change the next layer's integers.
"""

from functools import cache

import torch
from torch import nn
from torch.nn import functional

LEVELS = 127
"""Largest integer of weights and activations; the smallest is its negative."""
ZERO = 128
"""What stands for 0 in unsigned bytes, the form in which processors take activations."""
ROWS = 32
"""Rows that the packed layout is chosen for; others work as well."""
EXACT = 2**24
"""Integers up to here are exact in float32, and so are sums that stay below, in any order."""
TINY = 1e-30
MULTIPLE = 32
"""Sizes of matrices of bytes are multiples of this on a GPU: more than it takes, and as many as it does at once."""


def quantize_rows(x: torch.Tensor, levels: int = LEVELS) -> tuple[torch.Tensor, torch.Tensor]:
    """Round the last dimension of ``x`` (..., n) to integers between -levels and levels.

    Returns:
        The integers, in the type of ``x``, and the size of a step (..., 1): their product is about ``x``.
    """
    step = _step(x, levels)
    return (x / step).round_(), step


def _step(x: torch.Tensor, levels: int) -> torch.Tensor:
    return x.abs().amax(-1, keepdim=True).clamp_min_(TINY).div_(levels)


class IntegerLinear(nn.Module):
    """A linear layer with frozen weights of 8 bits."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype = torch.float64) -> None:
        """Round ``weight`` (outputs, inputs); ``dtype`` is that of what it takes and returns."""
        super().__init__()
        codes, step = quantize_rows(weight.detach().double())
        self.step = step[:, 0].float()  # (outputs,)
        self.bias = None if bias is None else bias.detach().to(dtype)
        self.inputs = weight.shape[1]
        self.packed: torch.Tensor | None = None
        self.whole: torch.Tensor | None = None
        if weight.device.type != "cpu" and has_whole_products(weight.device):
            self.whole = whole_weights(codes)
        elif weight.device.type == "cpu" and has_integer_products():
            self.packed = torch.ops.onednn.qlinear_prepack(codes.to(torch.int8).contiguous(), [ROWS, self.inputs])
            self.no_offsets = torch.zeros(len(codes), dtype=torch.int32)
        else:
            self.plain = codes.float().t().contiguous()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (rows, inputs) to (rows, outputs)."""
        products, step = self.products(x)
        output = products.to(x.dtype).mul_(step)
        return output if self.bias is None else output.add_(self.bias)

    def products(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the output is but for the bias and a factor by row: (rows, outputs) float32, (rows, 1)."""
        step = _step(x, LEVELS)
        # Rounded by the conversion, which cuts off what is behind the point.
        return self.multiply((x / step).add_(ZERO + 0.5).to(torch.uint8)), step

    def multiply(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the products, (rows, outputs) float32, of inputs that are rounded: bytes, with ``ZERO`` for 0."""
        if self.whole is not None:
            return whole_products(codes, self.whole)[:, : len(self.step)].float() * self.step
        if self.packed is None:
            return self._plain_products(codes)
        products: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
            codes, 1.0, ZERO, self.packed, self.step, self.no_offsets, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return products

    def _plain_products(self, codes: torch.Tensor) -> torch.Tensor:
        """Multiply integers as float32, so few at a time that the sums are exact, for want of better instructions."""
        at_once = EXACT // LEVELS**2
        parts = (codes.float() - ZERO).split(at_once, 1), self.plain.split(at_once, 0)
        total = torch.stack([(left @ right).double() for left, right in zip(*parts, strict=True)]).sum(0)
        return total.float() * self.step


def has_integer_products() -> bool:
    """Say whether this processor multiplies bytes into sums of 32 bits; others would saturate at 16."""
    return bool(torch.backends.mkldnn.is_available() and torch.cpu._is_vnni_supported())


@cache
def has_whole_products(device: torch.device) -> bool:
    """Say whether a device multiplies matrices of bytes into sums of 32 bits (NVIDIA: from Turing, 2018, on)."""
    ones = torch.ones(MULTIPLE, MULTIPLE, dtype=torch.int8, device=device)
    try:
        return bool((whole_products(ones.view(torch.uint8), ones) == -MULTIPLE * LEVELS).all())
    except RuntimeError:
        return False


def whole_weights(codes: torch.Tensor) -> torch.Tensor:
    """Return integer weights (outputs, inputs) as bytes, filled up with zeros to sizes that are multiplied fast."""
    more = [-size % MULTIPLE for size in codes.shape]
    return functional.pad(codes.to(torch.int8), (0, more[1], 0, more[0])).contiguous()


def whole_products(codes: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the sums, int32, of bytes (rows, inputs), with ``ZERO`` for 0, times weights as above.

    Rows are filled up, too: there must be more than 16.
    """
    rows, inputs = codes.shape
    signed = codes.bitwise_xor(ZERO).view(torch.int8)
    signed = functional.pad(signed, (0, weights.shape[1] - inputs, 0, -rows % MULTIPLE))
    return torch._int_mm(signed, weights.t())[:rows]
