"""Sampling from GPT-2 345M on a GPU: ours against transformers' ``generate`` and its continuous batching.

Timed by the clock.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

from gendist import devices
from gendist.bench.generation import unstable
from gendist.bench.material import gpt2
from gendist.bench.pairs import Case, Check, LeftOutError, Work
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
    if device is None:
        if not torch.cuda.is_available():
            raise LeftOutError("PyTorch sees no GPU")
        device = devices.prepare(1, 0, "gpu")
    model = gpt2(size).to(device)
    end = model.config.vocab_size - 1
    sampler = Sampler(model, end, end, [], Sampling(max_tokens=TOKENS, precision="int8"))
    passes = iter(range(1_000_000))

    def ours() -> float:
        first = next(passes) * rows  # other rows every time
        return float(sum(len(row.tokens) + row.stopped for row in sampler.sample(range(first, first + rows))))

    rate = _rate(ours)
    least = 1 / roofline(device, side).seconds(*_for_a_token(model.config, sampler.batch_size))
    together = list(sampler.sample(range(COMPARED)))
    read = [[end, *row.tokens] for row in together[:8]]
    checks = [
        Check(f"seconds for {WANTED:,} rows of {TOKENS} tokens", WANTED * TOKENS / rate, SECONDS),
        Check("share of the roofline that is missed", 1 - rate / least, 0.5),
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
    moved = _rate(lambda: float(2 * left.nbytes + 0 * left.copy_(right)[0, 0].item()))
    operations = _rate(lambda: 2.0 * side**3 + 0 * (left @ right)[0, 0].item())
    return Roofline(moved, operations)


def _for_a_token(config: Any, rows: int) -> tuple[float, float]:
    """Return the bytes that have to be moved for a token, at least, and the operations.

    That is each weight once for all rows of a step, in a byte, and each key and value that there is on average.
    """
    weights = config.n_layer * 12 * config.n_embd**2 + config.vocab_size * config.n_embd
    past = TOKENS / 2 * 2 * config.n_layer * config.n_embd
    return weights / rows + past, 2 * (weights + past)


def _rate(work: Callable[[], float]) -> float:
    """Return units per second, after a first time that does not count; the work waits for its device."""
    work()
    began = time.perf_counter()
    units = work()
    return units / (time.perf_counter() - began)


def _sampling(end: int) -> GenerationConfig:
    return GenerationConfig(
        do_sample=True, top_k=0, top_p=1.0, max_new_tokens=TOKENS, eos_token_id=end, pad_token_id=end
    )


@torch.inference_mode()
def _generate(model: Any, end: int, rows: int, batch: int) -> float:
    made = 0.0
    for first in range(0, rows, batch):
        prompt = torch.full((min(batch, rows - first), 1), end, device=model.device)
        texts = model.generate(prompt, attention_mask=torch.ones_like(prompt), generation_config=_sampling(end))[:, 1:]
        ended = (texts == end).long()
        made += float((ended.cumsum(1) - ended == 0).sum())  # up to each row's first end token, that one included
    return made


@torch.inference_mode()
def _continuous(model: Any, end: int, rows: int) -> float:
    found = model.generate_batch([[end]] * rows, generation_config=_sampling(end))
    return float(sum(len(output.generated_tokens) for output in found.values()))
