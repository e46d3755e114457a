"""Generate rows whose text depends on the pool seed and the row number alone."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gendist import memory, stopping
from gendist.errors import GendistError
from gendist.synthetic.decision import TokenChooser
from gendist.synthetic.readers import FloatReader, IntegerReader
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
        """Take a float32 model in evaluation mode, the tokens that open and close a row, and those never drawn.

        Raises:
            GendistError: if the settings ask for int8, and the model is of another architecture than GPT-2 and BERT.
        """
        self.device = model.device
        self.reader = IntegerReader(model) if settings.precision == "int8" else FloatReader(model)
        self.start, self.end = start, end
        self.context: int | None = getattr(model.config, "max_position_embeddings", None)
        """Tokens that the model can read, if that is limited."""
        self.max_tokens = settings.max_tokens
        self.chooser = TokenChooser(settings, model.config.vocab_size, [t for t in forbidden if t != end])
        self.batch_size = settings.batch_size
        self.settled = 0
        """Tokens that were too close to call in float32."""

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
        tokens = torch.tensor(before, device=self.device)  # (active, first + steps)
        first = tokens.shape[1]
        limit = self.max_tokens if self.context is None else min(self.max_tokens, self.context - first)
        self.reader.begin(tokens, first + limit)
        finished = torch.zeros(len(numbers), dtype=torch.bool, device=self.device)
        for step in range(limit):
            logits = self.reader.logits(tokens)
            chosen, safe = self.chooser.choose(logits, numbers, np.full(len(numbers), step))
            for i in torch.nonzero(~safe & ~finished).flatten().tolist():
                chosen[i] = self._settle(tokens[i : i + 1], logits[i : i + 1], numbers[i : i + 1], step)
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
                self.reader.select(active)
        for i in torch.nonzero(~finished).flatten().tolist():
            yield Row(int(numbers[i]), tokens[i, first:].tolist(), False)

    def _settle(self, tokens: torch.Tensor, logits: torch.Tensor, number: np.ndarray, step: int) -> torch.Tensor:
        """Decide one token in float64, where batch and device leave no trace."""
        self.settled += 1
        chosen, _ = self.chooser.choose(self.reader.exact_logits(tokens, logits), number, np.array([step]))
        return chosen[0]
