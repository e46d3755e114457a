"""Int8 linear layers with bit-identical results on every machine.

Weights are quantised per output, activations per row. The largest activation of each row stays in floating point,
because one outlier would waste most int8 levels (Dettmers et al. 2022, LLM.int8(), where outliers are columns). So does
the largest weight of each output in the second layers of feed-forward blocks (SpQR keeps single weights, Dettmers et
al. 2023). Integer sums are exact in any order: a row's result is independent of its batch, of the number of threads and
of the processor. The remaining rounding happens in float64, far below what changes the next layer's integers.
"""

import numpy as np
import torch
from torch import nn

from gendist.nn.int8_products import INT8_MAX, UINT8_MAX, create_int8_products

ZERO_POINT = 128
"""Code of 0 in unsigned activations, the format of the CPU's int8 instructions."""
MIN_MAGNITUDE = 1e-30
"""Lower bound of a row's magnitude, so that scales are never 0."""
GELU_OFFSET = 0.171
"""Added to GELU outputs, whose minimum is -0.17004, so that they are positive and use all 256 levels."""
R2_STEPS = 0.7548776662466927, 0.5698402909980532
"""Powers -1 and -2 of the plastic number, the real root of x**3 = x + 1."""
MIN_SCALE_RATIO = 1e-4
"""Lower bound of the second largest activation as a share of the largest; keeps the quotient finite in float32."""


def quantize_rows(
    x: torch.Tensor, levels: int = INT8_MAX, *, stochastic: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Quantise the last dimension of ``x`` (..., n) to integers from -levels to levels.

    Args:
        x: values to quantise, (rows, n) if ``stochastic``.
        levels: largest integer.
        stochastic: round up with a probability of the fractional part, which keeps the mean (Gupta et al. 2015, Deep
            Learning with Limited Numerical Precision, section 3.1), by fixed quasi-random numbers; to the nearest by
            default.

    Returns:
        The integers (..., n), in the dtype of ``x``, and their scales (..., 1), such that ``x`` is about
        ``integers * scales``.
    """
    scale = _scale(x, levels)
    if stochastic:
        return (x / scale + _uniform_noise(*x.shape).to(x)).floor_().clamp_(-levels, levels), scale
    return (x / scale).round_(), scale


def _uniform_noise(rows: int, columns: int) -> torch.Tensor:
    """Return quasi-random numbers in [0, 1), (rows, columns) float64, equal on every machine.

    Any run of columns covers [0, 1) evenly (the R2 sequence of Roberts 2018, The Unreasonable Effectiveness of
    Quasirandom Sequences), so that the errors of an output cancel better than those of independent noise.
    """
    sums = np.arange(rows)[:, None] * R2_STEPS[1] + np.arange(columns) * R2_STEPS[0]
    return torch.from_numpy((sums + 0.5) % 1.0)


def _scale(x: torch.Tensor, levels: int) -> torch.Tensor:
    return x.abs().amax(-1, keepdim=True).clamp_min_(MIN_MAGNITUDE).div_(levels)


class Int8Linear(nn.Module):
    """Linear layer with frozen int8 weights."""

    def __init__(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        dtype: torch.dtype = torch.float64,
        *,
        offset: float = 0.0,
        outliers: bool = False,
        two_pass: bool = False,
        stochastic: bool = False,
    ) -> None:
        """Quantise ``weight`` (outputs, inputs).

        Args:
            weight: floating-point weights.
            bias: (outputs,), or None.
            dtype: of the layer's inputs and outputs.
            offset: added to inputs, which are at least ``-offset``, to quantise them to unsigned bytes; 0 for signed
                inputs.
            outliers: keep each output's largest weight in float32.
            two_pass: quantise the inputs' rounding errors in a second pass: 16-bit inputs at twice the cost.
            stochastic: round weights stochastically. A short finetuning changes weights that were multiples of their
                scale by less than half of it; rounding to the nearest would undo that.
        """
        super().__init__()
        rest = weight.detach().double()
        self.outliers: tuple[torch.Tensor, torch.Tensor] | None = None  # input indices and weights, (outputs,) each
        if outliers:
            largest = rest.abs().argmax(1, keepdim=True)
            self.outliers = largest[:, 0], rest.gather(1, largest)[:, 0].float()
            rest = rest.scatter(1, largest, 0.0)
        codes, scale = quantize_rows(rest, stochastic=stochastic)
        self.weight_scale = scale[:, 0].float()  # (outputs,)
        self.bias = None if bias is None else bias.detach().to(dtype)
        self.offset, self.two_pass = offset, two_pass
        self.zero_point = 0 if offset else ZERO_POINT
        self.columns = codes.t().to(torch.int8).contiguous()  # (inputs, outputs)
        if offset:
            constant = (codes.sum(1) * scale[:, 0] * offset).to(dtype)
            self.bias = -constant if self.bias is None else self.bias - constant
        largest_input = max(self.zero_point, UINT8_MAX - self.zero_point)
        self.integer_products = create_int8_products(codes, self.weight_scale, largest_input)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (rows, inputs) to (rows, outputs)."""
        products, scale = self.products(x)
        output = products.to(x.dtype).mul_(scale)
        return output if self.bias is None else output.add_(self.bias)

    def products(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return products (rows, outputs) float32 and row scales (rows, 1): output = products * scales + bias."""
        inputs, x = x, x + self.offset if self.offset else x
        codes, scale, top, largest = quantize_inputs(x, bool(self.offset))
        products = self.multiply(codes)
        products = products + (largest / scale).float() * (self.columns[top[:, 0]].float() * self.weight_scale)
        if self.outliers is not None:
            indices, weights = self.outliers
            products = products + (inputs[:, indices] / scale).float() * weights
        if self.two_pass:
            rest = x - (codes.to(x.dtype) - self.zero_point) * scale
            rest = rest.scatter(-1, top, 0.0)
            rest_scale = _scale(rest, INT8_MAX)
            rest_products = self.multiply((rest / rest_scale).add_(ZERO_POINT + 0.5).to(torch.uint8), ZERO_POINT)
            products = products + rest_products * (rest_scale / scale).float()
        return products, scale

    def multiply(self, codes: torch.Tensor, zero_point: int | None = None) -> torch.Tensor:
        """Return the products (rows, outputs) float32 of quantised inputs and the weights, weight scales applied.

        Args:
            codes: unsigned bytes, (rows, inputs).
            zero_point: code of 0; the layer's own by default.
        """
        zero_point = self.zero_point if zero_point is None else zero_point
        return self.integer_products(codes, zero_point)


def quantize_inputs(x: torch.Tensor, unsigned: bool = False) -> tuple[torch.Tensor, ...]:
    """Quantise rows to unsigned bytes, with the largest entry of each row replaced by 0.

    Args:
        x: (rows, n).
        unsigned: ``x`` is never negative and 0 has code 0; otherwise 0 has code ``ZERO_POINT``.

    Returns:
        Codes (rows, n) uint8, their scales (rows, 1), and index and value of each row's largest entry, (rows, 1).
    """
    top = x.abs().argmax(-1, keepdim=True)
    largest = x.gather(-1, top)
    rest = x.scatter(-1, top, 0.0)
    size = torch.maximum(rest.abs().amax(-1, keepdim=True), largest.abs() * MIN_SCALE_RATIO).clamp_min_(MIN_MAGNITUDE)
    scale = size.div_(UINT8_MAX if unsigned else INT8_MAX)
    # The conversion to integers truncates: adding 0.5 rounds to nearest.
    return (rest / scale).add_(0.5 + (0 if unsigned else ZERO_POINT)).to(torch.uint8), scale, top, largest
