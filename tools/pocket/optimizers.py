"""Optimizers and learning rate schedule of the pretraining.

Muon (Jordan et al. 2024) orthogonalises the momentum of a matrix. Scaled to the update size of AdamW (Liu et al. 2025,
Muon is Scalable for LLM Training), it learns more per token than AdamW.
"""

import torch
from transformers import BertLMHeadModel

from gendist.errors import GendistError
from tools.pocket.pretraining_settings import Pretraining

EMBEDDING_DECAY = 0.01
"""Weight decay of the matrices outside the blocks."""


def make_optimizers(model: BertLMHeadModel, settings: Pretraining) -> tuple[torch.optim.Optimizer, ...]:
    """Return Muon for the block matrices and AdamW for all other trained weights.

    Query, key and value are separate matrices, each orthogonalised on its own.

    Raises:
        GendistError: if the installed PyTorch has no Muon.
    """
    if not hasattr(torch.optim, "Muon"):
        raise GendistError(f"pretraining needs PyTorch 2.9 or newer, for the Muon optimizer; found {torch.__version__}")
    blocks = [p for p in model.bert.encoder.parameters() if p.ndim == 2]
    ids = {id(p) for p in blocks}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in ids]
    groups = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": EMBEDDING_DECAY},
        {"params": [p for p in rest if p.ndim == 1], "weight_decay": 0.0},
    ]
    return (
        torch.optim.Muon(
            blocks,
            lr=settings.muon_lr,
            weight_decay=settings.weight_decay,
            momentum=0.95,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(groups, lr=settings.adamw_lr, betas=(0.9, 0.95), fused=True),
    )


def learning_rate_factor(step: int, seconds: float, settings: Pretraining) -> float:
    """Return the learning rate as a factor of the peak: linear warm-up by steps, constant, linear decay by time.

    Args:
        step: finished steps.
        seconds: elapsed training time.
        settings: settings of the run.
    """
    remaining = max(0.0, 1 - seconds / settings.seconds)
    return min(1.0, (step + 1) / settings.warmup_steps, remaining / settings.decay_share)


def optimizer_step(optimizers: tuple[torch.optim.Optimizer, ...], factor: float, settings: Pretraining) -> None:
    """Update all weights at ``factor`` times the peak rates, then clear the gradients.

    Gradients of AdamW weights are clipped to norm 1; Muon normalises its updates.
    """
    muon, adamw = optimizers
    torch.nn.utils.clip_grad_norm_([p for group in adamw.param_groups for p in group["params"]], 1.0)
    for optimizer, peak in ((muon, settings.muon_lr), (adamw, settings.adamw_lr)):
        for group in optimizer.param_groups:
            group["lr"] = peak * factor
        optimizer.step()
        optimizer.zero_grad()
