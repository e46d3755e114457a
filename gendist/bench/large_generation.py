"""Sampling from GPT-2 345M on a GPU: ours against transformers' ``generate`` and its continuous batching.

Timed by the clock.
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

from gendist.bench.generation import generated, plain_sampling, unstable, written
from gendist.bench.material import gpt2, gpu
from gendist.bench.pairs import Case, Check, Work, rate
from gendist.int8.divergence import LIMIT, divergence
from gendist.int8.fused import decoder_for
from gendist.synthetic.sampler import Sampler
from gendist.synthetic.settings import Sampling

ROWS, TOKENS = 4096, 100
WANTED, SECONDS = 25_000, 30.0
"""Rows of a pool, and what they may take."""
COMPARED = 64
"""Rows on which is checked that they do not depend on others, and how far integers are from float32."""


@dataclass(frozen=True)
class Roofline:
    """What a device moves and multiplies at most, measured on it."""

    bytes_per_second: float
    """Read and written."""
    operations_per_second: float
    """Multiplications and additions of bf16."""

    def seconds(self, moved: float, operations: float) -> float:
        """Return the least time for so many bytes and operations, which go on side by side."""
        return max(moved / self.bytes_per_second, operations / self.operations_per_second)


def cases(device: torch.device | None = None, size: str = "medium", rows: int = ROWS, side: int = 8192) -> list[Case]:
    """Return the pairs.

    Args:
        device: where all compute; by default on a GPU.
        size: of GPT-2, as in ``material.gpt2``.
        rows: written in a round.
        side: rows and columns of the matrices that the roofline is measured with.

    Raises:
        LeftOutError: if there is no GPU.
    """
    device = device or gpu()
    model = gpt2(size).to(device)
    end = model.config.vocab_size - 1
    sampler = Sampler(model, end, end, [], Sampling(max_tokens=TOKENS, precision="int8"))
    passes = iter(range(1_000_000))

    def ours() -> float:
        first = next(passes) * rows  # other rows every time
        return written(sampler, range(first, first + rows))

    found = rate(ours)
    least = 1 / roofline(device, side).seconds(*_for_a_token(model.config, sampler.batch_size))
    together = list(sampler.sample(range(COMPARED)))
    read = [[end, *row.tokens] for row in together[:8]]
    checks = [
        Check(f"seconds for {WANTED:,} rows of {TOKENS} tokens", WANTED * TOKENS / found, SECONDS),
        Check("share of the roofline that is missed", 1 - found / least, 0.5),
        Check("KL to float32, nats per token", divergence(model, decoder_for(model), read), LIMIT),
        Check("rows that change with the batch", unstable(sampler, together), 0),
    ]
    name, half = f"generation, GPT-2 {size} shape, GPU", copy.deepcopy(model).bfloat16()
    others: dict[str, Work] = {
        "transformers generate, bf16": lambda: _generate(half, end, rows, sampler.batch_size),
        "transformers continuous batching, bf16": lambda: _continuous(half, end, rows),
    }
    return [Case(name, other, "tokens", None, ours, work, checks, wall=True) for other, work in others.items()]


def roofline(device: torch.device, side: int) -> Roofline:
    """Measure a device with square bf16 matrices: copying one, and multiplying two."""
    left, right = (torch.ones(side, side, dtype=torch.bfloat16, device=device) for _ in range(2))
    moved = rate(lambda: float(2 * left.nbytes + 0 * left.copy_(right)[0, 0].item()))
    operations = rate(lambda: 2.0 * side**3 + 0 * (left @ right)[0, 0].item())
    return Roofline(moved, operations)


def _for_a_token(config: Any, rows: int) -> tuple[float, float]:
    """Return the bytes that have to be moved for a token, at least, and the operations.

    That is each weight once for all rows of a step, in a byte, and each key and value that there is on average.
    """
    weights = config.n_layer * 12 * config.n_embd**2 + config.vocab_size * config.n_embd
    past = TOKENS / 2 * 2 * config.n_layer * config.n_embd
    return weights / rows + past, 2 * (weights + past)


def _generate(model: Any, end: int, rows: int, batch: int) -> float:
    return sum(generated(model, (end, end), min(batch, rows - first), TOKENS) for first in range(0, rows, batch))


@torch.inference_mode()
def _continuous(model: Any, end: int, rows: int) -> float:
    found = model.generate_batch([[end]] * rows, generation_config=GenerationConfig(**plain_sampling(end, TOKENS)))
    return float(sum(len(output.generated_tokens) for output in found.values()))
