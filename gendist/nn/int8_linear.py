"""Linear layers in 8-bit integers, whose results are the same on every machine.

Weights are rounded to 8 bits by output, activations by row. A row's largest activation is multiplied apart, in
floating point: a single outlier would leave all others few of the levels (Dettmers et al. 2022, LLM.int8(), where
outliers are columns). So is each output's largest weight in the second layers of feed-forward blocks (as SpQR keeps
single weights, Dettmers et al. 2023). Sums of integers have no order: a row's result depends on neither its batch, nor
threads, nor the kind of processor. What is left to rounding is done in float64, where it is far too small to change the
next layer's integers.
"""

import torch
from torch import nn

LEVELS = 127
"""Largest integer of weights and activations; the smallest is its negative."""
ZERO = 128
"""What stands for 0 in unsigned bytes, the form in which processors take activations."""
ROWS = 32
"""Rows that the packed layout is chosen for; others work as well."""
EXACT = 2**24
"""Integers up to here are exact in float32, and so are sums that stay below, in any order."""
TINY = 1e-30
UNSIGNED_LEVELS = 255
"""Largest integer of activations that are never below ``-GELU_OFFSET``."""
GELU_OFFSET = 0.171
"""Added to what GELU returns, which is then never negative and takes all 256 levels; its minimum is -0.17004."""
SPAN = 1e-4
"""Least scale of a row, as a share of its largest activation: keeps their ratio finite in float32."""


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

    def __init__(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        dtype: torch.dtype = torch.float64,
        *,
        offset: float = 0.0,
        outliers: bool = False,
        two_pass: bool = False,
    ) -> None:
        """Round ``weight`` (outputs, inputs).

        Args:
            weight: in floating point.
            bias: (outputs,), or None.
            dtype: of what the layer takes and returns.
            offset: inputs are never below its negative, and take all levels of an unsigned byte; 0 for signed inputs.
            outliers: keep each output's largest weight in float32.
            two_pass: round inputs twice, the second time what the first left: 16 bits at twice the cost.
        """
        super().__init__()
        rest = weight.detach().double()
        self.outliers: tuple[torch.Tensor, torch.Tensor] | None = None  # which inputs and their weights, (outputs,)
        if outliers:
            largest = rest.abs().argmax(1, keepdim=True)
            self.outliers = largest[:, 0], rest.gather(1, largest)[:, 0].float()
            rest = rest.scatter(1, largest, 0.0)
        codes, step = quantize_rows(rest)
        self.step = step[:, 0].float()  # (outputs,)
        self.bias = None if bias is None else bias.detach().to(dtype)
        self.inputs = weight.shape[1]
        self.offset, self.two_pass = offset, two_pass
        self.zero = 0 if offset else ZERO
        self.columns = codes.t().to(torch.int8).contiguous()  # (inputs, outputs)
        if offset:
            constant = (codes.sum(1) * step[:, 0] * offset).to(dtype)
            self.bias = -constant if self.bias is None else self.bias - constant
        self.packed: torch.Tensor | None = None
        if weight.device.type == "cpu" and has_integer_products():
            self.packed = torch.ops.onednn.qlinear_prepack(codes.to(torch.int8).contiguous(), [ROWS, self.inputs])
            self.no_offsets = torch.zeros(len(codes), dtype=torch.int32)
        else:
            self.plain = codes.float().t().contiguous()
            # As many inputs at once as keep every sum exact, whatever the inputs are.
            largest_input = max(self.zero, UNSIGNED_LEVELS - self.zero)
            self.at_once = EXACT // (LEVELS * largest_input)
            if weight.device.type == "cpu" and int(codes.abs().sum(1).max()) * largest_input <= EXACT:
                self.at_once = self.inputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (rows, inputs) to (rows, outputs)."""
        products, step = self.products(x)
        output = products.to(x.dtype).mul_(step)
        return output if self.bias is None else output.add_(self.bias)

    def products(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the output is but for the bias and a factor by row: (rows, outputs) float32, (rows, 1)."""
        inputs, x = x, x + self.offset if self.offset else x
        codes, step, top, largest = quantize_inputs(x, bool(self.offset))
        products = self.multiply(codes)
        products = products + (largest / step).float() * (self.columns[top[:, 0]].float() * self.step)
        if self.outliers is not None:
            which, weights = self.outliers
            products = products + (inputs[:, which] / step).float() * weights
        if self.two_pass:
            rest = x - (codes.to(x.dtype) - self.zero) * step
            rest = rest.scatter(-1, top, 0.0)
            more = _step(rest, LEVELS)
            again = self.multiply((rest / more).add_(ZERO + 0.5).to(torch.uint8), ZERO)
            products = products + again * (more / step).float()
        return products, step

    def multiply(self, codes: torch.Tensor, zero: int | None = None) -> torch.Tensor:
        """Return the products, (rows, outputs) float32, of inputs that are rounded to bytes.

        Args:
            codes: unsigned bytes, (rows, inputs).
            zero: which byte stands for 0; by default as the layer's inputs have it.
        """
        zero = self.zero if zero is None else zero
        if self.packed is None:
            return self._plain_products(codes, zero)
        products: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
            codes, 1.0, zero, self.packed, self.step, self.no_offsets, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return products

    def _plain_products(self, codes: torch.Tensor, zero: int) -> torch.Tensor:
        """Multiply integers as float32, so few at a time that the sums are exact, for want of better instructions."""
        inputs = codes.float() - zero
        if self.inputs <= self.at_once:
            return (inputs @ self.plain).mul_(self.step)
        parts = inputs.split(self.at_once, 1), self.plain.split(self.at_once, 0)
        total = torch.stack([(left @ right).double() for left, right in zip(*parts, strict=True)]).sum(0)
        return total.float() * self.step


def quantize_inputs(x: torch.Tensor, unsigned: bool = False) -> tuple[torch.Tensor, ...]:
    """Round rows to bytes, but for the largest number of each.

    Args:
        x: (rows, n).
        unsigned: whether nothing is negative; else ``ZERO`` stands for 0.

    Returns:
        Bytes (rows, n), with 0 in place of the largest; their scale (rows, 1); where the largest is (rows, 1), and
        what it is (rows, 1).
    """
    top = x.abs().argmax(-1, keepdim=True)
    largest = x.gather(-1, top)
    rest = x.scatter(-1, top, 0.0)
    size = torch.maximum(rest.abs().amax(-1, keepdim=True), largest.abs() * SPAN).clamp_min_(TINY)
    step = size.div_(UNSIGNED_LEVELS if unsigned else LEVELS)
    # Rounded by the conversion, which cuts off what is behind the point.
    return (rest / step).add_(0.5 + (0 if unsigned else ZERO)).to(torch.uint8), step, top, largest


def has_integer_products() -> bool:
    """Say whether this processor multiplies bytes into sums of 32 bits; others would saturate at 16."""
    return bool(torch.backends.mkldnn.is_available() and torch.cpu._is_vnni_supported())
