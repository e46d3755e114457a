"""How far the finetuning of a teacher is."""

import math
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Course:
    """How far it is and what it has measured: plain values, which a checkpoint keeps."""

    part: int = 0
    """Trainings that are over: the one that decides the number of epochs, then the refits."""
    step: int = 0
    """Optimiser steps of all parts."""
    epoch: int = 0
    """Epochs of this part that are over."""
    batch: int = 0
    """Batches of the epoch so far."""
    loss: float = 0.0
    """Summed loss of their rows."""
    order: dict[str, Any] = field(default_factory=dict)
    """State of the random generator of the rows' order at the start of the epoch."""
    history: list[dict[str, float]] = field(default_factory=list)
    best: float = math.inf
    """Lowest held-out loss."""
    epochs: int = 0
    """Epochs after which it was reached."""

    def end_part(self) -> None:
        """Go on to the next training."""
        self.part, self.epoch, self.batch, self.loss = self.part + 1, 0, 0, 0.0
