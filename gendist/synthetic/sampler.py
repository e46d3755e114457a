"""Generate rows whose text depends on the pool seed and the row number alone."""

import copy
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from gendist import memory, stopping
from gendist.errors import GendistError
from gendist.packed import pack_linear_layers
from gendist.synthetic.decision import TokenChooser
from gendist.synthetic.settings import Sampling

log = logging.getLogger(__name__)

SHRINK = 0.85
"""Finished rows leave the batch once no more than this share of it is still being written."""


@dataclass(frozen=True)
class Row:
    """A generated row: its number in the pool, its tokens without the prompt, and whether it ended by itself."""

    number: int
    tokens: list[int]
    stopped: bool


class Sampler:
    """Samples rows of a pool from a causal language model, in batches of any size."""

    def __init__(self, model: Any, start: int, end: int, forbidden: Sequence[int], settings: Sampling) -> None:
        """Take a float32 model in evaluation mode, the tokens that open and close a row, and those never drawn."""
        self.model = model
        self.fast_model = pack_linear_layers(copy.deepcopy(model)) if model.device.type == "cpu" else model
        self.start, self.end = start, end
        self.context: int | None = getattr(model.config, "max_position_embeddings", None)
        """Tokens that the model can read, if that is limited."""
        self.max_tokens = settings.max_tokens
        self.chooser = TokenChooser(settings, model.config.vocab_size, [t for t in forbidden if t != end])
        self.batch_size = settings.batch_size
        self.settled = 0
        """Tokens that were too close to call in float32."""
        self._exact_model: Any = None

    def sample(self, numbers: Sequence[int], prompts: Sequence[list[int]] | None = None) -> Iterator[Row]:
        """Yield the rows with these numbers, in batches; within a batch in the order in which they end.

        Args:
            numbers: row numbers in the pool.
            prompts: tokens between the start token and each row, which the row continues; none by default.
        """
        lengths = np.array([0] * len(numbers) if prompts is None else [len(prompt) for prompt in prompts])
        for length in np.unique(lengths):  # a batch has prompts of one length, and so needs no padding
            group = np.flatnonzero(lengths == length)
            waiting = {numbers[j]: [self.start, *(prompts[j] if prompts is not None else [])] for j in group.tolist()}
            while waiting:
                stopping.check()
                picks = list(waiting)[: self.batch_size]
                for row in self._as_memory_allows(picks, [waiting[number] for number in picks]):
                    del waiting[row.number]
                    yield row

    def _as_memory_allows(self, numbers: list[int], before: list[list[int]]) -> Iterator[Row]:
        """Generate a batch; if memory does not suffice, end early and make later batches half as big.

        Raises:
            GendistError: if it does not suffice for one row.
        """
        try:
            yield from self._batch(np.array(numbers, dtype=np.int64), before)
            return
        except (RuntimeError, MemoryError) as error:
            if not memory.is_out_of_memory(error):
                raise
        memory.free()
        if len(numbers) == 1:
            raise GendistError(
                f"out of memory with one row at a time; lower max_tokens of the sampling (now {self.max_tokens}), "
                "take a smaller generator, or give the job more memory"
            )
        self.batch_size = len(numbers) // 2
        log.info("out of memory with %d rows side by side; going on with %d", len(numbers), self.batch_size)

    @torch.inference_mode()
    def _batch(self, numbers: np.ndarray, before: list[list[int]]) -> Iterator[Row]:
        """Generate rows after the tokens ``before`` (rows, first): the start token and the prompt."""
        device = self.model.device
        cache = DynamicCache(config=self.model.config)
        tokens = torch.tensor(before, device=device)  # (active, first + steps)
        first = tokens.shape[1]
        if first > 1:  # without the output layer, whose logits of a prompt nobody needs
            self.fast_model.base_model(input_ids=tokens[:, :-1], past_key_values=cache, use_cache=True)
        finished = torch.zeros(len(numbers), dtype=torch.bool, device=device)
        limit = self.max_tokens if self.context is None else min(self.max_tokens, self.context - first)
        for step in range(limit):
            output = self.fast_model(input_ids=tokens[:, -1:], past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            logits = output.logits[:, -1].float()
            chosen, safe = self.chooser.choose(logits, numbers, np.full(len(numbers), step))
            for i in torch.nonzero(~safe & ~finished).flatten().tolist():
                chosen[i] = self._settle(tokens[i : i + 1], numbers[i : i + 1], step)
            tokens = torch.cat([tokens, chosen[:, None]], 1)
            ended = (chosen == self.end) & ~finished
            for i in torch.nonzero(ended).flatten().tolist():
                yield Row(int(numbers[i]), tokens[i, first:-1].tolist(), True)
            finished |= ended
            active = torch.nonzero(~finished).flatten()
            if len(active) == 0:
                return
            if len(active) <= SHRINK * len(finished):
                tokens, numbers, finished = tokens[active], numbers[active.cpu().numpy()], finished[active]
                cache.batch_select_indices(active)
        for i in torch.nonzero(~finished).flatten().tolist():
            yield Row(int(numbers[i]), tokens[i, first:].tolist(), False)

    def _settle(self, tokens: torch.Tensor, number: np.ndarray, step: int) -> torch.Tensor:
        """Decide one token from the whole prefix in float64, where batch and device leave no trace."""
        if self._exact_model is None:
            self._exact_model = copy.deepcopy(self.model).double()
        self.settled += 1
        logits = self._exact_model(input_ids=tokens, use_cache=False).logits[:, -1]
        chosen, _ = self.chooser.choose(logits.double(), number, np.array([step]))
        return chosen[0]
