"""Finetuning GPT-2 345M at the paper's setting on a GPU: tokens per second, and the most memory that it takes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gendist.config.generator_settings import Generator
from gendist.jobs.checkpoints import Checkpoints
from gendist.jobs.work_folder import WorkFolder
from gendist.nn import devices
from gendist.stages.generator.finetune import freeze
from gendist.stages.generator.training import Course, train_model
from tools.bench.material import gpt2, gpu
from tools.bench.pairs import Case, Check

WINDOWS = 8
"""Windows, which are optimiser steps, in a round."""
LIMIT = 12.0
"""GB of the GPU that the paper's authors had (section 4.2)."""


def cases(device: torch.device | None = None, size: str = "medium", windows: int = WINDOWS) -> list[Case]:
    """Return the pair.

    Args:
        device: where both compute; by default on a GPU.
        size: of GPT-2, as in ``material.gpt2``.
        windows: optimiser steps in a round.

    Raises:
        LeftOutError: if there is no GPU.
    """
    device = device or gpu()
    settings = Generator()
    model = gpt2(size).to(device)
    freeze(model, settings)
    rows = stream(windows, settings.window, model.config)

    def ours() -> float:
        return finetuned(model, rows, settings)

    def theirs() -> float:
        plain_loop(model.train(), rows, settings.learning_rate)
        return float(sum(map(len, rows)))

    checks = []
    if device.type == "cuda":
        checks.append(Check("GB of memory at most, weights included", peak(ours, device), LIMIT))
    name = f"finetuning, GPT-2 {size} shape, windows of {len(rows[0])}"
    return [Case(name, "plain loop, bf16 autocast", "tokens", 1.0, ours, theirs, checks, wall=True)]


def stream(windows: int, window: int, config: Any) -> list[list[int]]:
    """Return sequences of random tokens that fill as many windows, or the model's context where that is shorter."""
    limit = min(window, config.max_position_embeddings)
    return np.random.default_rng(0).integers(0, config.vocab_size - 1, (windows, limit)).tolist()


def finetuned(model: Any, rows: list[list[int]], settings: Generator) -> float:
    """Finetune as the stage does, for one epoch; return the tokens."""
    end = model.config.vocab_size - 1
    kept: Checkpoints[Course] = Checkpoints(WorkFolder(None, Path("generator"), {}), Course())
    train_model(model, rows, [], max(map(len, rows)), end, np.random.default_rng(0), settings, kept)
    return float(kept.state.step * len(rows[0]))


def plain_loop(model: Any, rows: Sequence[list[int]], learning_rate: float) -> None:
    """Finetune as a tutorial would: bf16 autocast where the hardware has it, Adam, a sequence at a time."""
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=learning_rate)
    for row in rows:
        ids = torch.tensor([row], device=model.device)
        with devices.mixed_precision(model.device):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    loss.item()  # waits for a GPU


def peak(work: Callable[[], float], device: torch.device) -> float:
    """Return the most memory, in GB, that is allocated on a GPU while work is done."""
    torch.cuda.reset_peak_memory_stats(device)
    work()
    return torch.cuda.max_memory_allocated(device) / 1e9
