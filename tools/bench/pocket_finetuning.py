"""Finetuning the embedded generator on a CPU: our step against one with transformers' loss and fused attention."""

import copy
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gendist.config.generator_settings import POCKET, Generator
from gendist.nn import devices
from gendist.nn.padding import padded
from gendist.nn.pocket.unpack import unpack_generator
from gendist.nn.pretrained import load_causal_lm, load_tokenizer
from gendist.stages.generator import sequences
from gendist.stages.generator.finetune import boundary_tokens, freeze
from gendist.stages.generator.folder import label_prompt
from gendist.stages.generator.training import nats_per_token
from tools.bench.finetuning import finetuned
from tools.bench.material import newsbriefs
from tools.bench.pairs import Case, Check

ROWS, HELD_OUT = 48, 16
"""Rows that are trained on in a round, and rows that both finetuned models are compared on."""
SLICE_TOKENS = 256
"""Tokens that the other step takes through the model at once; with a whole batch it is slower still."""
APART = 0.03
"""Nats per token that the two may differ by after a round; bf16 rounds them differently."""


def cases() -> list[Case]:
    """Return the pair."""
    device = devices.prepare(1, 0)
    with tempfile.TemporaryDirectory(prefix="gendist-") as folder:
        unpack_generator(Path(folder) / "pocket")
        tokenizer = load_tokenizer(str(Path(folder) / "pocket"))
        model = load_causal_lm(str(Path(folder) / "pocket"))
    texts, _ = newsbriefs()
    prompts = [label_prompt(texts.label_names[label]) for label in texts.labels]
    ends = boundary_tokens(model.config, tokenizer, "pocket")
    rows = sequences.tokenize(tokenizer, texts.texts, POCKET.window, *ends, prompts)
    rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))[: ROWS + HELD_OUT]]
    # Without dropout, whose order of random numbers differs; one epoch, so that a round is as long as its rows.
    settings = POCKET.model_copy(update={"epochs": 1, "held_out": 0.0, "dropout": 0.0})
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    freeze(model, settings)
    models = {name: copy.deepcopy(model) for name in ("ours", "theirs")}

    def ours() -> float:
        finetuned(models["ours"], rows[:ROWS], settings)
        return _predicted(rows[:ROWS])

    def theirs() -> float:
        usual_steps(models["theirs"], rows[:ROWS], settings, device)
        return _predicted(rows[:ROWS])

    ours(), theirs()
    scores = [nats_per_token(other, rows[ROWS:]) for other in models.values()]
    checks = [Check("nats per token between the two", abs(scores[0] - scores[1]), APART)]
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


def usual_steps(model: Any, rows: Sequence[list[int]], settings: Generator, device: torch.device) -> None:
    """Finetune for one epoch: the same batches in mixed precision, slices of like length, Adam."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=settings.learning_rate, fused=True)
    order = np.random.default_rng(0).permutation(len(rows))
    steps = -(-len(rows) // settings.batch_size)
    model.train()
    for step in range(steps):
        batch = sorted((rows[i] for i in order[step * settings.batch_size :][: settings.batch_size]), key=len)
        at_once = max(1, SLICE_TOKENS // len(batch[-1]))
        for first in range(0, len(batch), at_once):
            ids, mask = padded(batch[first : first + at_once])
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
