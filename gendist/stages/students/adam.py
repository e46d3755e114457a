"""Adam over the weights of a student."""

from collections.abc import Iterable

import torch
from torch.optim.adam import adam


class Adam:
    """Adam (Kingma and Ba 2015); each step is one pass over each weight and its two moments.

    It computes what ``torch.optim.Adam`` does, through the same function. That class itself imports PyTorch's
    compiler when it is made: a second of every student's job.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Start with moments of zero."""
        self._states = [
            (p, torch.zeros_like(p), torch.zeros_like(p), torch.zeros((), device=p.device)) for p in parameters
        ]

    def step(self, learning_rate: float) -> None:
        """Change the weights that have a gradient, and drop the gradients."""
        moved = [(p, p.grad, *state) for p, *state in self._states if p.grad is not None]
        weights, gradients, means, squares, steps = (list(column) for column in zip(*moved, strict=True))
        with torch.no_grad():
            adam(
                weights,
                gradients,
                means,
                squares,
                [],
                steps,
                fused=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=learning_rate,
                weight_decay=0.0,
                eps=1e-8,
                maximize=False,
            )
        for weight in weights:
            weight.grad = None
