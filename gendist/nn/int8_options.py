"""How a generator's linear layers are quantised to int8."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Int8Options:
    """Options of an int8 decoder; ``calibrate_int8`` selects them."""

    two_pass: tuple[str, ...] = ()
    """Kinds of linear layers, of ``transformer_parts.LINEAR_KINDS``, with 16-bit instead of 8-bit inputs."""
    stochastic: bool = False
    """Whether weights are rounded stochastically, else to the nearest."""


NEAREST = Int8Options()
