"""The interface of sampling back ends: how the rows in batch slots get their next tokens."""

from abc import ABC, abstractmethod

import torch

from gendist.stages.synthetic.batch_slots import Slots


class SamplingBackend(ABC):
    """Runs a causal language model on the rows in batch slots and draws their tokens.

    A back end that draws from the filtered distribution of ``logits_filter.py`` with the noise of ``philox.py`` makes a
    row a function of the pool seed and the row number.
    """

    device: torch.device
    """Device of the slots."""
    continuous_batching: bool
    """Whether a row may start while others are running; otherwise the rows of a batch start together."""
    mixed_prompts = True
    """Whether the rows of a batch may have prompts of different lengths."""
    fixed_batch_size: bool
    """Whether the number of slots is always the batch size, even for fewer rows."""

    @abstractmethod
    def allocate(self, slots: Slots) -> None:
        """Allocate an empty KV cache for these slots, after freeing the previous one."""

    @abstractmethod
    def advance(self, slots: Slots) -> int:
        """Run one or more decode steps and update the slots; return how many tokens were redrawn in float64."""
