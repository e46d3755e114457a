"""Sampling from GPT-2 345M on a GPU: ours against transformers' ``generate`` and its continuous batching.

Timed by the clock.
"""

import copy
from typing import Any

import torch
from transformers import GenerationConfig

from gendist.config.sampling_settings import Sampling
from gendist.stages.synthetic.sampler import Sampler
from gendist.stages.synthetic.slots import Row
from tools.bench.generation import generated, plain_sampling, written
from tools.bench.material import gpt2, gpu
from tools.bench.pairs import Case, Check, Work, rate
from tools.bench.roofline import SIDE, SIZE, roofline

ROWS, TOKENS = 4096, 100
WANTED, SECONDS = 25_000, 10.0
"""Rows of a pool, and what they may take."""
COMPARED = 64
"""Rows on which is checked that they do not depend on others."""


def cases(
    device: torch.device | None = None, size: str = "medium", rows: int = ROWS, bounds: tuple[int, int] = (SIZE, SIDE)
) -> list[Case]:
    """Return the pairs.

    Args:
        device: where all compute; by default on a GPU.
        size: of GPT-2, as in ``material.gpt2``.
        rows: written in a round.
        bounds: bytes that are copied, and rows of matrices, to measure the roofline.

    Raises:
        LeftOutError: if there is no GPU.
    """
    device = device or gpu()
    model = gpt2(size).to(device)
    end = model.config.vocab_size - 1
    sampler = Sampler(model, end, end, [], Sampling(max_tokens=TOKENS))
    passes = iter(range(1_000_000))

    def ours() -> float:
        first = next(passes) * rows  # other rows every time
        return written(sampler, range(first, first + rows))

    found = rate(ours)
    least = 1 / roofline(device, *bounds).seconds(*for_a_token(model.config, sampler.batch_size))
    together = list(sampler.sample(range(COMPARED)))
    checks = [
        Check(f"seconds for {WANTED:,} rows of {TOKENS} tokens", WANTED * TOKENS / found, SECONDS),
        Check("share of the roofline that is missed", 1 - found / least, 0.5),
        Check("rows that change with others", float(moved(sampler, together)), 0),
    ]
    name, half = f"generation, GPT-2 {size} shape, GPU", copy.deepcopy(model).bfloat16()
    others: dict[str, Work] = {
        "transformers generate, bf16": lambda: _generate(half, end, rows, sampler.batch_size),
        "transformers continuous batching, bf16": lambda: _continuous(half, end, rows),
    }
    return [Case(name, other, "tokens", None, ours, work, checks, wall=True) for other, work in others.items()]


def for_a_token(config: Any, rows: int) -> tuple[float, float]:
    """Return the bytes that have to be moved for a token, at least, and the operations.

    That is each weight once for all rows of a step, in bf16, and each key and value that there is on average.
    """
    weights = config.n_layer * 12 * config.n_embd**2 + config.vocab_size * config.n_embd
    past = TOKENS / 2 * 2 * config.n_layer * config.n_embd
    return 2 * (weights / rows + past), 2 * (weights + past)


def moved(sampler: Sampler, rows: list[Row]) -> int:
    """Return how many of some rows come out otherwise in other slots, beside others."""
    known = {row.number: row.tokens for row in rows}
    chosen = sorted(known)[::-3]
    numbers = [*range(10**6, 10**6 + 7), *chosen]
    return sum(row.tokens != known[row.number] for row in sampler.sample(numbers) if row.number in known)


def _generate(model: Any, end: int, rows: int, batch: int) -> float:
    return sum(generated(model, (end, end), min(batch, rows - first), TOKENS) for first in range(0, rows, batch))


def _continuous(model: Any, end: int, rows: int) -> float:
    # Not in inference mode: it updates tensors of its own in place, which may not be inference tensors.
    found = model.generate_batch([[end]] * rows, generation_config=GenerationConfig(**plain_sampling(end, TOKENS)))
    return float(sum(len(output.generated_tokens) for output in found.values()))
