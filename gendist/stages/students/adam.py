"""Adam optimizer without the import cost of ``torch.optim``."""

from collections.abc import Iterable

import torch
from torch.optim.adam import adam


class Adam:
    """Fused Adam (Kingma and Ba 2015), through the functional API of ``torch.optim``.

    Creating ``torch.optim.Adam`` imports PyTorch's compiler, which takes one second per job.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Initialise both moments to zero."""
        self.states = [
            (p, torch.zeros_like(p), torch.zeros_like(p), torch.zeros((), device=p.device)) for p in parameters
        ]
        """Each parameter with its first moment, its second moment and its number of steps."""

    def step(self, learning_rate: float) -> None:
        """Update the parameters that have a gradient, then clear the gradients."""
        updated = [(p, p.grad, *state) for p, *state in self.states if p.grad is not None]
        parameters, gradients, first_moments, second_moments, steps = (
            list(column) for column in zip(*updated, strict=True)
        )
        with torch.no_grad():
            adam(
                parameters,
                gradients,
                first_moments,
                second_moments,
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
        for parameter in parameters:
            parameter.grad = None
