"""Sampling from GPT-2 345M on a GPU: this package against transformers' ``generate`` and its continuous batching.

Timed by wall clock.
"""

import copy
from typing import Any

import torch
from transformers import GenerationConfig

from gendist.config.sampling_settings import Sampling
from gendist.stages.synthetic.batch_slots import GeneratedRow
from gendist.stages.synthetic.sampler import Sampler
from tools.bench.bench_inputs import gpt2, gpu
from tools.bench.generation import generate_with_transformers, plain_sampling, sample_rows
from tools.bench.roofline import SIDE, SIZE, roofline
from tools.bench.timed_pairs import Case, Check, Workload, rate

ROWS, TOKENS = 4096, 100
POOL_ROWS, MAX_SECONDS = 25_000, 10.0
"""Rows of a pool, and the goal for their time."""
CHECKED_ROWS = 64
"""Rows that are compared between different slots."""


def cases(
    device: torch.device | None = None, size: str = "medium", rows: int = ROWS, bounds: tuple[int, int] = (SIZE, SIDE)
) -> list[Case]:
    """Return the cases.

    Args:
        device: device of all; a GPU by default.
        size: of GPT-2, as in ``bench_inputs.gpt2``.
        rows: generated in a round.
        bounds: bytes to copy, and size of matrices to multiply, for the roofline.

    Raises:
        SkippedError: if no GPU is available.
    """
    device = device or gpu()
    model = gpt2(size).to(device)
    end = model.config.vocab_size - 1
    sampler = Sampler(model, Sampling(max_tokens=TOKENS), start=end, end=end)
    passes = iter(range(1_000_000))

    def ours() -> float:
        first = next(passes) * rows  # new rows in every round
        return sample_rows(sampler, range(first, first + rows))

    found = rate(ours)
    least = 1 / roofline(device, *bounds).seconds(*bytes_and_operations_per_token(model.config, sampler.batch_size))
    together = list(sampler.sample(range(CHECKED_ROWS)))
    checks = [
        Check(f"seconds for {POOL_ROWS:,} rows of {TOKENS} tokens", POOL_ROWS * TOKENS / found, MAX_SECONDS),
        Check("missing share of the roofline", 1 - found / least, 0.5),
        Check("rows changed by other slots", float(rows_changed_by_slots(sampler, together)), 0),
    ]
    name, half = f"generation, GPT-2 {size} shape, GPU", copy.deepcopy(model).bfloat16()
    others: dict[str, Workload] = {
        "transformers generate, bf16": lambda: _generate(half, end, rows, sampler.batch_size),
        "transformers continuous batching, bf16": lambda: _continuous(half, end, rows),
    }
    return [Case(name, other, "tokens", None, ours, work, checks, wall=True) for other, work in others.items()]


def bytes_and_operations_per_token(config: Any, rows: int) -> tuple[float, float]:
    """Return the minimum bytes to move, and the operations, per generated token.

    A decode step reads every bf16 weight once for all its rows, and on average half of each row's final KV cache.
    """
    weights = config.n_layer * 12 * config.n_embd**2 + config.vocab_size * config.n_embd
    past = TOKENS / 2 * 2 * config.n_layer * config.n_embd
    return 2 * (weights / rows + past), 2 * (weights + past)


def rows_changed_by_slots(sampler: Sampler, rows: list[GeneratedRow]) -> int:
    """Return how many rows differ when sampled in other slots, with other rows in the batch."""
    known = {row.number: row.tokens for row in rows}
    chosen = sorted(known)[::-3]
    numbers = [*range(10**6, 10**6 + 7), *chosen]
    return sum(row.tokens != known[row.number] for row in sampler.sample(numbers) if row.number in known)


def _generate(model: Any, end: int, rows: int, batch: int) -> float:
    return sum(
        generate_with_transformers(model, (end, end), min(batch, rows - first), TOKENS)
        for first in range(0, rows, batch)
    )


def _continuous(model: Any, end: int, rows: int) -> float:
    # Not in inference mode: continuous batching updates its own tensors in place.
    found = model.generate_batch([[end]] * rows, generation_config=GenerationConfig(**plain_sampling(end, TOKENS)))
    return float(sum(len(output.generated_tokens) for output in found.values()))
