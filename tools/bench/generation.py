"""Sampling from a language model: this package against transformers' ``generate``."""

import copy
import tempfile
from pathlib import Path
from typing import Any

import torch

from gendist.config.sampling_settings import Sampling
from gendist.nn import devices
from gendist.nn.int8_calibration import MAX_DIVERGENCE, int8_divergence
from gendist.nn.int8_decoder_numba import create_int8_decoder
from gendist.nn.pocket.unpack_generator import unpack_generator
from gendist.nn.pretrained import load_causal_lm, load_tokenizer
from gendist.stages.generator.finetune_generator import boundary_tokens
from gendist.stages.synthetic.batch_size import ON_CPU
from gendist.stages.synthetic.batch_slots import GeneratedRow
from gendist.stages.synthetic.sampler import Sampler
from tools.bench.bench_inputs import gpt2
from tools.bench.timed_pairs import Case, Check


def cases(rows: int = ON_CPU, tokens: int = 64) -> list[Case]:
    """Return the cases: the pocket generator, and an untrained GPT-2 of 124 M weights.

    Args:
        rows: batch size of both; by default that of sampling on a CPU.
        tokens: maximum tokens per row.
    """
    with tempfile.TemporaryDirectory(prefix="gendist-") as folder:
        unpack_generator(Path(folder) / "pocket")
        pocket = load_causal_lm(str(Path(folder) / "pocket")).eval()
        tokenizer = load_tokenizer(str(Path(folder) / "pocket"))
    ends = boundary_tokens(pocket.config, tokenizer, "pocket")
    large = gpt2()
    return [
        _case("generation, pocket generator", pocket, ends=ends, rows=rows, tokens=tokens),
        _case("generation, GPT-2 124M shape", large, ends=(50256, 50256), rows=rows, tokens=tokens),
    ]


def _case(name: str, model: Any, *, ends: tuple[int, int], rows: int, tokens: int) -> Case:
    devices.prepare(1, 0)
    sampler = Sampler(model, Sampling(max_tokens=tokens, batch_size=rows, precision="int8"), start=ends[0], end=ends[1])
    passes = iter(range(1_000_000))

    def ours() -> float:
        first = next(passes) * rows  # new rows in every round
        return sample_rows(sampler, range(first, first + rows))

    def theirs() -> float:
        return generate_with_transformers(model, ends, rows, tokens)

    together = list(sampler.sample(range(rows)))
    checks = [
        Check(
            "KL to float32, nats per token",
            int8_divergence(model, create_int8_decoder(model), [[ends[0], *row.tokens] for row in together]),
            MAX_DIVERGENCE,
        ),
        Check("rows changed by the batch size", rows_changed_by_batch_size(sampler, together), 0),
    ]
    return Case(name, "transformers generate, float32", "tokens", 6.0, ours, theirs, checks)


def sample_rows(sampler: Sampler, numbers: range) -> float:
    """Sample the rows with these numbers; return the number of tokens, end tokens included."""
    return float(sum(len(row.tokens) + row.stopped for row in sampler.sample(numbers)))


def plain_sampling(end: int, tokens: int) -> dict[str, Any]:
    """Return generation settings of transformers for sampling from the full distribution."""
    settings = {"do_sample": True, "top_k": 0, "top_p": 1.0, "max_new_tokens": tokens}
    return {**settings, "eos_token_id": end, "pad_token_id": end}


@torch.inference_mode()
def generate_with_transformers(model: Any, ends: tuple[int, int], rows: int, tokens: int) -> float:
    """Generate rows with transformers; return the number of tokens.

    Args:
        model: causal language model.
        ends: ids of the start and the end token.
        rows: batch size.
        tokens: maximum tokens per row.
    """
    prompt = torch.full((rows, 1), ends[0], device=model.device)
    sampling = plain_sampling(ends[1], tokens)
    made = model.generate(prompt, attention_mask=torch.ones_like(prompt), **sampling)[:, 1:]
    ended = (made == ends[1]).long()
    return float((ended.cumsum(1) - ended == 0).sum())  # up to and with each row's first end token


def rows_changed_by_batch_size(sampler: Sampler, rows: list[GeneratedRow], batch: int = 5) -> int:
    """Return how many rows differ when sampled with a smaller batch size."""
    small = copy.copy(sampler)
    small.batch_size = batch
    known = {row.number: row.tokens for row in rows}
    return sum(row.tokens != known[row.number] for row in small.sample(range(2 * batch)))
