"""Sampling from a language model: ours against transformers' ``generate``."""

import copy
import tempfile
from pathlib import Path
from typing import Any

import torch

from gendist.config.sampling_settings import Sampling
from gendist.nn import devices
from gendist.nn.int8.divergence import LIMIT, divergence
from gendist.nn.int8.fused import decoder_for
from gendist.nn.pocket.unpack import unpack_generator
from gendist.nn.pretrained import load_causal_lm, load_tokenizer
from gendist.stages.generator.finetune import boundary_tokens
from gendist.stages.synthetic.sampler import Sampler
from gendist.stages.synthetic.slots import Row
from tools.bench.material import gpt2
from tools.bench.pairs import Case, Check


def cases(rows: int = 32, tokens: int = 64) -> list[Case]:
    """Return the pairs: the pocket generator, and GPT-2's 124 M shape with untrained weights.

    Args:
        rows: batch size of both.
        tokens: tokens of a row, at most.
    """
    with tempfile.TemporaryDirectory(prefix="gendist-") as folder:
        unpack_generator(Path(folder) / "pocket")
        pocket = load_causal_lm(str(Path(folder) / "pocket")).eval()
        tokenizer = load_tokenizer(str(Path(folder) / "pocket"))
    ends = boundary_tokens(pocket.config, tokenizer, "pocket")
    large = gpt2()
    return [
        _case("generation, pocket generator", pocket, ends, rows, tokens),
        _case("generation, GPT-2 124M shape", large, (50256, 50256), rows, tokens),
    ]


def _case(name: str, model: Any, ends: tuple[int, int], rows: int, tokens: int) -> Case:
    devices.prepare(1, 0)
    sampler = Sampler(model, *ends, [], Sampling(max_tokens=tokens, batch_size=rows, precision="int8"))
    passes = iter(range(1_000_000))

    def ours() -> float:
        first = next(passes) * rows  # other rows every time
        return written(sampler, range(first, first + rows))

    def theirs() -> float:
        return generated(model, ends, rows, tokens)

    together = list(sampler.sample(range(rows)))
    checks = [
        Check(
            "KL to float32, nats per token",
            divergence(model, decoder_for(model), [[ends[0], *row.tokens] for row in together]),
            LIMIT,
        ),
        Check("rows that change with the batch", unstable(sampler, together), 0),
    ]
    return Case(name, "transformers generate, float32", "tokens", 6.0, ours, theirs, checks)


def written(sampler: Sampler, numbers: range) -> float:
    """Write the rows with these numbers; return their tokens, those that end them included."""
    return float(sum(len(row.tokens) + row.stopped for row in sampler.sample(numbers)))


def plain_sampling(end: int, tokens: int) -> dict[str, Any]:
    """Return transformers' settings for drawing from the full distribution."""
    chosen = {"do_sample": True, "top_k": 0, "top_p": 1.0, "max_new_tokens": tokens}
    return {**chosen, "eos_token_id": end, "pad_token_id": end}


@torch.inference_mode()
def generated(model: Any, ends: tuple[int, int], rows: int, tokens: int) -> float:
    """Write rows with transformers, after the first of two tokens and up to the second; return their tokens."""
    prompt = torch.full((rows, 1), ends[0], device=model.device)
    sampling = plain_sampling(ends[1], tokens)
    made = model.generate(prompt, attention_mask=torch.ones_like(prompt), **sampling)[:, 1:]
    ended = (made == ends[1]).long()
    return float((ended.cumsum(1) - ended == 0).sum())  # up to each row's first end token, that one included


def unstable(sampler: Sampler, rows: list[Row], batch: int = 5) -> int:
    """Return how many of some rows come out otherwise in smaller batches."""
    small = copy.copy(sampler)
    small.batch_size = batch
    known = {row.number: row.tokens for row in rows}
    return sum(row.tokens != known[row.number] for row in small.sample(range(2 * batch)))
