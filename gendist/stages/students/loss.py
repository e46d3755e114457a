"""Losses of students: cross-entropy on labels, or distillation from teacher logits."""

import torch
from torch.func import vmap
from torch.nn import functional


def distillation_loss(student: torch.Tensor, teacher: torch.Tensor, kind: str, temperature: float) -> torch.Tensor:
    """Return the mean distillation loss of student and teacher logits, each (rows, classes).

    ``kl`` is the Kullback-Leibler divergence from the teacher's to the student's distribution,
    both softened by ``temperature`` and scaled by its square (Hinton et al. 2015; paper section 3.3).
    ``mae`` is the mean absolute error between the logits (Chia et al. 2018).
    """
    if kind == "mae":
        return (student - teacher).abs().mean()
    target = functional.log_softmax(teacher / temperature, 1)
    predicted = functional.log_softmax(student / temperature, 1)
    # functional.kl_div gives the same values, but has no batching rule for vmap.
    divergence = (target.exp() * (target - predicted)).sum() / len(target)
    return divergence * temperature**2


def label_loss(student: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of gold or hard labels (rows,)."""
    return functional.cross_entropy(student, labels)


def row_losses(
    student: torch.Tensor, targets: torch.Tensor, kind: str | None = None, temperature: float = 1.0
) -> torch.Tensor:
    """Return the loss of each row, (..., rows); batch losses are their means.

    Args:
        student: logits (..., rows, classes).
        targets: teacher logits of the same shape, or labels (..., rows) if ``kind`` is None.
        kind: distillation loss; None for the label loss.
        temperature: temperature of the distillation loss.
    """

    def row_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if kind is None:
            return label_loss(logits[None], target[None])
        return distillation_loss(logits[None], target[None], kind, temperature)

    losses: torch.Tensor = vmap(row_loss)(student.flatten(0, -2), targets.flatten(0, student.ndim - 2))
    return losses.view(student.shape[:-1])
