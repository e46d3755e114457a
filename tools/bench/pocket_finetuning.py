"""Finetuning the pocket generator on a CPU: this package's loop against transformers' loss and fused attention."""

import copy
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gendist.config.generator_settings import POCKET, Generator
from gendist.nn import devices
from gendist.nn.padding import pad_batch
from gendist.nn.pocket.unpack_generator import unpack_generator
from gendist.nn.pretrained import load_causal_lm, load_tokenizer
from gendist.stages.generator import training_sequences
from gendist.stages.generator.finetune_generator import boundary_tokens, freeze
from gendist.stages.generator.generator_folder import label_prompt
from gendist.stages.generator.training_loop import nats_per_token
from tools.bench.bench_inputs import newsbriefs
from tools.bench.finetuning import finetune_one_epoch
from tools.bench.timed_pairs import Case, Check

ROWS, HELD_OUT = 48, 16
"""Training rows in a round, and rows on which both finetuned models are compared."""
SLICE_TOKENS = 256
"""Tokens per micro-batch of the baseline, which is slower with whole batches."""
MAX_GAP = 0.03
"""Accepted difference of the losses after a round, in nats per token; bf16 rounds them differently."""


def cases() -> list[Case]:
    """Return the case."""
    device = devices.prepare(1, 0)
    with tempfile.TemporaryDirectory(prefix="gendist-") as folder:
        unpack_generator(Path(folder) / "pocket")
        tokenizer = load_tokenizer(str(Path(folder) / "pocket"))
        model = load_causal_lm(str(Path(folder) / "pocket"))
    texts, _ = newsbriefs()
    prompts = [label_prompt(texts.label_names[label]) for label in texts.labels]
    start, end = boundary_tokens(model.config, tokenizer, "pocket")
    rows = training_sequences.tokenize_rows(
        tokenizer, texts.texts, limit=POCKET.window, start=start, end=end, prompts=prompts
    )
    rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))[: ROWS + HELD_OUT]]
    # Without dropout, whose random numbers differ between the two; one epoch per round.
    settings = POCKET.model_copy(update={"epochs": 1, "held_out": 0.0, "dropout": 0.0})
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    freeze(model, settings)
    models = {name: copy.deepcopy(model) for name in ("ours", "theirs")}

    def ours() -> float:
        finetune_one_epoch(models["ours"], rows[:ROWS], settings)
        return _predicted(rows[:ROWS])

    def theirs() -> float:
        baseline_steps(models["theirs"], rows[:ROWS], settings, device)
        return _predicted(rows[:ROWS])

    ours(), theirs()
    scores = [nats_per_token(other, rows[ROWS:]) for other in models.values()]
    checks = [Check("difference in nats per token", abs(scores[0] - scores[1]), MAX_GAP)]
    return [
        Case(
            "finetuning, pocket generator",
            "transformers' loss and fused attention",
            "tokens",
            2.0,
            ours,
            theirs,
            checks,
        )
    ]


def baseline_steps(model: Any, rows: Sequence[list[int]], settings: Generator, device: torch.device) -> None:
    """Finetune for one epoch with the same batches, micro-batches of similar length, mixed precision and Adam."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=settings.learning_rate, fused=True)
    order = np.random.default_rng(0).permutation(len(rows))
    steps = -(-len(rows) // settings.batch_size)
    model.train()
    for step in range(steps):
        batch = sorted((rows[i] for i in order[step * settings.batch_size :][: settings.batch_size]), key=len)
        micro_batch = max(1, SLICE_TOKENS // len(batch[-1]))
        for first in range(0, len(batch), micro_batch):
            ids, mask = pad_batch(batch[first : first + micro_batch])
            labels = ids.masked_fill(mask == 0, -100)
            with devices.mixed_precision(device):
                loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
            (loss * mask[:, 1:].sum() / _predicted(batch)).backward()
        warmup = settings.warmup * steps
        rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * min(rise, (steps - step) / max(1.0, steps - warmup))
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()


def _predicted(rows: Sequence[list[int]]) -> float:
    return float(sum(len(row) - 1 for row in rows))
