"""Finetuning GPT-2 345M with the paper's settings on a GPU: tokens per second and peak memory."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gendist.config.generator_settings import Generator
from gendist.jobs.checkpoints import Checkpoints
from gendist.jobs.work_folder import WorkFolder
from gendist.nn import devices
from gendist.stages.generator.finetune_generator import freeze
from gendist.stages.generator.training_loop import TrainingState, train_model
from tools.bench.bench_inputs import gpt2, gpu
from tools.bench.timed_pairs import Case, Check

WINDOWS = 8
"""Windows, one per optimiser step, in a round."""
MAX_GB = 12.0
"""Memory of the GPU in the paper, in GB (section 4.2)."""


def cases(device: torch.device | None = None, size: str = "medium", windows: int = WINDOWS) -> list[Case]:
    """Return the pair.

    Args:
        device: device of both; a GPU by default.
        size: of GPT-2, as in ``bench_inputs.gpt2``.
        windows: optimiser steps in a round.

    Raises:
        SkippedError: if no GPU is available.
    """
    device = device or gpu()
    settings = Generator()
    model = gpt2(size).to(device)
    freeze(model, settings)
    rows = random_sequences(windows, settings.window, model.config)

    def ours() -> float:
        return finetune_one_epoch(model, rows, settings)

    def theirs() -> float:
        plain_loop(model.train(), rows, settings.learning_rate)
        return float(sum(map(len, rows)))

    checks = []
    if device.type == "cuda":
        checks.append(Check("peak memory in GB, weights included", peak_memory_gb(ours, device), MAX_GB))
    name = f"finetuning, GPT-2 {size} shape, windows of {len(rows[0])}"
    return [Case(name, "plain loop, bf16 autocast", "tokens", 1.0, ours, theirs, checks, wall=True)]


def random_sequences(windows: int, window: int, config: Any) -> list[list[int]]:
    """Return sequences of random tokens, of the window's length or the model's context, if that is shorter."""
    limit = min(window, config.max_position_embeddings)
    return np.random.default_rng(0).integers(0, config.vocab_size - 1, (windows, limit)).tolist()


def finetune_one_epoch(model: Any, rows: list[list[int]], settings: Generator) -> float:
    """Finetune for one epoch with the stage's training loop; return the number of tokens."""
    end = model.config.vocab_size - 1
    checkpoints: Checkpoints[TrainingState] = Checkpoints(WorkFolder(None, Path("generator"), {}), TrainingState())
    train_model(
        model,
        rows,
        [],
        limit=max(map(len, rows)),
        start=end,
        rng=np.random.default_rng(0),
        settings=settings,
        checkpoints=checkpoints,
    )
    return float(checkpoints.state.step * len(rows[0]))


def plain_loop(model: Any, rows: Sequence[list[int]], learning_rate: float) -> None:
    """Finetune with a minimal loop: bf16 autocast where supported, Adam, one sequence per step."""
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=learning_rate)
    for row in rows:
        ids = torch.tensor([row], device=model.device)
        with devices.mixed_precision(model.device):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    loss.item()  # synchronises a GPU


def peak_memory_gb(work: Callable[[], float], device: torch.device) -> float:
    """Return the peak memory, in GB, that a workload allocates on a GPU."""
    torch.cuda.reset_peak_memory_stats(device)
    work()
    return torch.cuda.max_memory_allocated(device) / 1e9
