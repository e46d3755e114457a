"""Generate rows of a pool; a row's tokens depend on the pool seed and the row number alone."""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import torch

from gendist.config.sampling_settings import Sampling
from gendist.errors import GendistError
from gendist.jobs import out_of_memory, stop_signals
from gendist.nn.int8_options import NEAREST, Int8Options
from gendist.stages.synthetic.backend_selection import Precision, create_backend, resolve_precision
from gendist.stages.synthetic.batch_size import resolve_batch_size
from gendist.stages.synthetic.batch_slots import GeneratedRow, RowRequest, Slots

log = logging.getLogger(__name__)


class Sampler:
    """Samples rows of a pool from a causal language model, in batches of any size."""

    def __init__(
        self,
        model: Any,
        settings: Sampling,
        *,
        start: int | None,
        end: int,
        forbidden: Sequence[int] = (),
        precision: Precision | None = None,
        int8: Int8Options = NEAREST,
    ) -> None:
        """Select a back end for the model.

        Args:
            model: float32 causal language model in evaluation mode.
            settings: sampling strategy.
            start: id of the start token; None if prompts begin with their own.
            end: id of the end token.
            forbidden: token ids that are never drawn; ``end`` is always allowed.
            precision: by default that of the settings, where ``auto`` is bf16 on a GPU and float32 on a CPU.
            int8: options of int8 (``calibrate_int8``).

        Raises:
            GendistError: if the precision is int8 and the architecture is neither GPT-2 nor BERT.
        """
        self.start, self.end = start, end
        self.context: int | None = getattr(model.config, "max_position_embeddings", None)
        """Maximum number of tokens of the model, or None."""
        self.max_tokens = settings.max_tokens
        precision = precision or resolve_precision(settings, model.config, model.device)
        forbidden = [token for token in forbidden if token != end]
        self.backend = create_backend(model, settings, precision=precision, forbidden=forbidden, int8=int8)
        self.batch_size = resolve_batch_size(settings, model, precision)
        self.slots: Slots | None = None
        """Kept for the next rows by back ends of a fixed batch size, with what was captured for them."""
        self.redrawn = 0
        """Tokens that were redrawn in float64, because float32 rounding could change them."""

    def sample(self, numbers: Sequence[int], prompts: Sequence[list[int]] | None = None) -> Iterator[GeneratedRow]:
        """Yield the rows with these numbers in the order in which they finish; they start in the order given.

        Args:
            numbers: row numbers in the pool.
            prompts: tokens between the start token and each row; empty by default.
        """
        requests = [
            self._request(number, prompt)
            for number, prompt in zip(numbers, prompts or [[]] * len(numbers), strict=True)
        ]
        yield from (GeneratedRow(request.number, [], False) for request in requests if not request.max_new_tokens)
        requests = [request for request in requests if request.max_new_tokens]
        if self.backend.continuous_batching:
            yield from self._sample_with_retries(requests)
            return
        requests.sort(key=_prompt_length)
        if self.backend.mixed_prompts:
            yield from self._sample_with_retries(requests)
            return
        for _, group in groupby(requests, _prompt_length):
            yield from self._sample_with_retries(list(group))

    def _request(self, number: int, prompt: list[int]) -> RowRequest:
        tokens = prompt if self.start is None else [self.start, *prompt]
        limit = self.max_tokens if self.context is None else min(self.max_tokens, self.context - len(tokens))
        return RowRequest(number, tokens, max(limit, 0))

    def _sample_with_retries(self, requests: list[RowRequest]) -> Iterator[GeneratedRow]:
        """Generate rows; when memory runs out, unfinished rows start again at half the batch size.

        Raises:
            GendistError: if memory runs out with one row.
        """
        waiting = {request.number: request for request in requests}
        while waiting:
            stop_signals.raise_if_stopped()
            slots = self.batch_size if self.backend.fixed_batch_size else min(self.batch_size, len(waiting))
            try:
                for row in self._sample_in_slots(list(waiting.values()), slots):
                    del waiting[row.number]
                    yield row
                continue
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory.is_out_of_memory(error):
                    raise
            out_of_memory.release_memory()
            if slots == 1:
                raise GendistError(
                    f"out of memory with one row at a time; lower max_tokens of the sampling (now {self.max_tokens}), "
                    "take a smaller generator, or give the job more memory"
                )
            self.batch_size = slots // 2
            log.info("out of memory at batch size %d; continuing with %d", slots, self.batch_size)

    @torch.inference_mode()
    def _sample_in_slots(self, requests: list[RowRequest], count: int) -> Iterator[GeneratedRow]:
        """Generate rows in ``count`` slots, which are refilled as rows finish.

        After a request to stop, no more rows start; running rows finish while there is time.
        """
        longest = max(len(request.prompt) + request.max_new_tokens for request in requests)
        waiting, slots = deque(requests), self._allocate_slots(count, longest)
        while True:
            if (self.backend.continuous_batching or not slots.occupied.any()) and not stop_signals.stop_requested():
                slots.start(waiting.popleft() for _ in range(min(len(slots.free), len(waiting))))
            if not slots.occupied.any():
                return
            self.redrawn += self.backend.advance(slots)
            yield from slots.pop_finished()

    def _allocate_slots(self, count: int, longest: int) -> Slots:
        """Return free slots for rows of at most ``longest`` tokens, with their KV cache; reused if they fit."""
        slots = self.slots
        if slots is not None and len(slots) == count and slots.longest >= longest:
            slots.clear()
            return slots
        self.slots = None  # freed first: both may not fit in memory
        slots = Slots(count, longest, self.end, self.backend.device)
        self.backend.allocate(slots)
        if self.backend.fixed_batch_size:
            self.slots = slots
        return slots


def _prompt_length(request: RowRequest) -> int:
    return len(request.prompt)
