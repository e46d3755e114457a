"""Generate rows whose text depends on the pool seed and the row number alone."""

import logging
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from typing import Any, Literal, Protocol

import torch

from gendist.config.sampling_settings import Sampling
from gendist.errors import GendistError
from gendist.jobs import out_of_memory, stop_signals
from gendist.nn.int8.fused import decoder_for
from gendist.nn.transformer_parts import can_decode
from gendist.stages.synthetic.batch_size import rows_at_once
from gendist.stages.synthetic.decision import TokenChooser
from gendist.stages.synthetic.device_sampling import GumbelSampler
from gendist.stages.synthetic.readers import FloatReader, IntegerReader
from gendist.stages.synthetic.slots import Row, Slots, Task
from gendist.stages.synthetic.static import StaticSteps
from gendist.stages.synthetic.static_decoder import StaticDecoder
from gendist.stages.synthetic.stepwise import Stepwise

log = logging.getLogger(__name__)

Precision = Literal["bf16", "float32", "int8"]


def computed_in(settings: Sampling, config: Any, device: torch.device, int8: bool) -> Precision:
    """Return what a model of some configuration computes in where ``int8`` says whether integers suit it.

    A GPU takes bf16 for GPT-2 and BERT, unless the settings say float32.
    """
    if device.type == "cuda" and can_decode(config):
        return "float32" if settings.precision == "float32" else "bf16"
    if settings.precision == "auto":
        return "int8" if int8 and device.type == "cpu" else "float32"
    return settings.precision


class Steps(Protocol):
    """What writes the rows in slots."""

    refills: bool
    """Whether a row can begin beside others that are under way; else all begin together, with prompts of one length."""
    device: torch.device
    """Where the slots have to be."""
    fixed_slots: bool
    """Whether there are always as many slots, though there are fewer rows."""

    def begin(self, slots: Slots) -> None:
        """Make room for what the slots will hold."""

    def advance(self, slots: Slots) -> int:
        """Let every row go on, and look how far they came; return how many tokens were settled in float64."""


class Sampler:
    """Samples rows of a pool from a causal language model, any number of them side by side."""

    def __init__(
        self,
        model: Any,
        start: int,
        end: int,
        forbidden: Sequence[int],
        settings: Sampling,
        two_pass: Collection[str] = (),
    ) -> None:
        """Take a float32 model in evaluation mode, the tokens that open and close a row, and those never drawn.

        Args:
            model: causal language model.
            start: token that opens a row.
            end: token that closes it.
            forbidden: tokens that are never drawn.
            settings: sampling strategy; ``auto`` precision is bf16 on a GPU (``computed_in``), else float32.
            two_pass: in int8, linear layers whose inputs are rounded to 16 bits (``layers_in_two_passes``).

        Raises:
            GendistError: if the settings ask for int8, and the model is of another architecture than GPT-2 and BERT.
        """
        self.start, self.end = start, end
        self.context: int | None = getattr(model.config, "max_position_embeddings", None)
        """Tokens that the model can read, if that is limited."""
        self.max_tokens = settings.max_tokens
        self.steps = self._steps(model, settings, two_pass, [t for t in forbidden if t != end])
        self.batch_size = rows_at_once(settings, model)
        self.settled = 0
        """Tokens that were too close to call in float32."""

    def _steps(self, model: Any, settings: Sampling, two_pass: Collection[str], forbidden: list[int]) -> Steps:
        vocabulary, device = model.config.vocab_size, model.device
        precision = computed_in(settings, model.config, device, int8=False)
        if device.type == "cuda" and can_decode(model.config):
            sampler = GumbelSampler(settings, vocabulary, forbidden, device)
            dtype = torch.bfloat16 if precision == "bf16" else torch.float32
            return StaticSteps(StaticDecoder(model, dtype, sampler.columns), sampler, device)
        chooser = TokenChooser(settings, vocabulary, forbidden)
        if precision == "int8":
            return Stepwise(IntegerReader(decoder_for(model, two_pass)), chooser)
        return Stepwise(FloatReader(model), chooser)

    def sample(self, numbers: Sequence[int], prompts: Sequence[list[int]] | None = None) -> Iterator[Row]:
        """Yield the rows with these numbers, in the order in which they end; they begin in the order given.

        Args:
            numbers: row numbers in the pool.
            prompts: tokens between the start token and each row, which the row continues; none by default.
        """
        tasks = [
            self._task(number, prompt) for number, prompt in zip(numbers, prompts or [[]] * len(numbers), strict=True)
        ]
        yield from (Row(task.number, [], False) for task in tasks if not task.most)
        tasks = [task for task in tasks if task.most]
        if self.steps.refills:
            yield from self._all(tasks)
            return
        tasks.sort(key=_prompt_length)
        for _, group in groupby(tasks, _prompt_length):
            yield from self._all(list(group))

    def _task(self, number: int, prompt: list[int]) -> Task:
        before = [self.start, *prompt]
        room = self.max_tokens if self.context is None else min(self.max_tokens, self.context - len(before))
        return Task(number, before, max(room, 0))

    def _all(self, tasks: list[Task]) -> Iterator[Row]:
        """Generate rows; where memory does not suffice, those that have not ended begin anew, with half as many slots.

        Raises:
            GendistError: if it does not suffice for one row.
        """
        waiting = {task.number: task for task in tasks}
        while waiting:
            stop_signals.raise_if_stopped()
            slots = self.batch_size if self.steps.fixed_slots else min(self.batch_size, len(waiting))
            try:
                for row in self._write(list(waiting.values()), slots):
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
            log.info("out of memory with %d rows side by side; going on with %d", slots, self.batch_size)

    @torch.inference_mode()
    def _write(self, tasks: list[Task], count: int) -> Iterator[Row]:
        """Generate rows in so many slots, each of which is filled again when its row has ended.

        A job that is asked to stop begins no more rows, and ends with those under way, or when it can wait no longer.
        """
        longest = max(len(task.prompt) + task.most for task in tasks)
        waiting, slots = deque(tasks), Slots(count, longest, self.end, self.steps.device)
        self.steps.begin(slots)
        while True:
            if (self.steps.refills or not slots.taken.any()) and not stop_signals.stop_requested():
                slots.put(waiting.popleft() for _ in range(min(len(slots.free), len(waiting))))
            if not slots.taken.any():
                return
            self.settled += self.steps.advance(slots)
            yield from slots.take()


def _prompt_length(task: Task) -> int:
    return len(task.prompt)
