"""Adam over all weights of a student."""

from collections.abc import Iterable

import torch
from torch.optim.adam import adam


class Adam:
    """Adam (Kingma and Ba 2015), each step one pass over each weight and its two moments.

    It computes what ``torch.optim.Adam`` does. That class imports PyTorch's compiler when it is made, which takes
    longer than many a student's training.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Start with moments of zero."""
        self.parameters = list(parameters)
        self.means = [torch.zeros_like(p) for p in self.parameters]
        self.squares = [torch.zeros_like(p) for p in self.parameters]
        self.steps = [torch.zeros(()) for _ in self.parameters]

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Change the weights by their gradients, and forget those."""
        gradients = [p.grad for p in self.parameters]
        adam(self.parameters, gradients, self.means, self.squares, [], self.steps, fused=True,
             amsgrad=False, beta1=0.9, beta2=0.999, lr=learning_rate, weight_decay=0.0, eps=1e-8, maximize=False)
        for p in self.parameters:
            p.grad = None
