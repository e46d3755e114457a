"""What a student is trained to do: match labels, or match the teacher."""

import torch
from torch.nn import functional


def distillation_loss(student: torch.Tensor, teacher: torch.Tensor, kind: str, temperature: float) -> torch.Tensor:
    """Return the mean distance between student and teacher logits, each (rows, classes).

    ``kl`` is the Kullback-Leibler divergence from the teacher's to the student's distribution,
    both softened by ``temperature`` and scaled by its square (Hinton et al. 2015; paper section 3.3).
    ``mae`` is the mean absolute error between the logits (Chia et al. 2018).
    """
    if kind == "mae":
        return (student - teacher).abs().mean()
    target = functional.log_softmax(teacher / temperature, 1)
    predicted = functional.log_softmax(student / temperature, 1)
    return functional.kl_div(predicted, target, reduction="batchmean", log_target=True) * temperature**2


def row_losses(
    student: torch.Tensor, targets: torch.Tensor, kind: str | None = None, temperature: float = 1.0
) -> torch.Tensor:
    """Return what the other losses are means of, for each row: (..., rows, classes) to (..., rows).

    Args:
        student: logits.
        targets: the teacher's logits of the same shape; or labels (..., rows), where no ``kind`` is given.
        kind: distillation loss.
        temperature: of ``kl``.
    """
    if kind is None:
        return functional.cross_entropy(student.flatten(0, -2), targets.flatten(), reduction="none").view(targets.shape)
    if kind == "mae":
        return (student - targets).abs().mean(-1)
    target = functional.log_softmax(targets / temperature, -1)
    predicted = functional.log_softmax(student / temperature, -1)
    return functional.kl_div(predicted, target, reduction="none", log_target=True).sum(-1) * temperature**2


def label_loss(student: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of gold or hard labels (rows,)."""
    return functional.cross_entropy(student, labels)
