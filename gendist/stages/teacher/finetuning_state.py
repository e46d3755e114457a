"""Training state of a teacher's finetuning, saved with each checkpoint."""

import math
from dataclasses import dataclass, field
from typing import Any


@dataclass
class FinetuningState:
    """Position, losses and history of the finetuning, as JSON-serialisable values."""

    part: int = 0
    """Finished trainings: first the one that chooses the number of epochs, then the refits."""
    step: int = 0
    """Optimizer steps over all trainings."""
    epoch: int = 0
    """Finished epochs of the current training."""
    batch: int = 0
    """Finished batches of the current epoch."""
    loss: float = 0.0
    """Sum of the row losses of those batches."""
    order: dict[str, Any] = field(default_factory=dict)
    """State of the generator that shuffles the rows, at the start of the epoch."""
    history: list[dict[str, float]] = field(default_factory=list)
    """Losses and held-out accuracy of each epoch."""
    best: float = math.inf
    """Lowest held-out loss."""
    epochs: int = 0
    """Epochs that gave the lowest held-out loss."""

    def start_next_part(self) -> None:
        """Start the next training."""
        self.part, self.epoch, self.batch, self.loss = self.part + 1, 0, 0, 0.0
