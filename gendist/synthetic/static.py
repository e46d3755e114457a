"""Rows go on by steps that are functions of tensors of fixed sizes: the way of a GPU.

A step reads a token of every slot, chooses the next, and writes it down, all on the device; nothing in it waits for the
CPU, so a CUDA graph replays its thousands of small kernels at once. Rows that have ended meanwhile stay where they are,
as do those whose choice was too close to call: being exact, what they read again is what they have read before.
"""

import logging
from typing import Any

import torch

from gendist import devices, memory
from gendist.int8.decoder import Decoder
from gendist.synthetic.decision import TokenChooser
from gendist.synthetic.slots import Slots

log = logging.getLogger(__name__)

TOGETHER = 4
"""Steps before the CPU looks: a row loses two of its hundred on average when it ends."""
SHORTEST = 32
"""Places that attention looks at; twice, four times … as many once a row is longer."""
FEWEST = 32
"""Slots are not made fewer than that: a GPU takes as long for one."""
COMPILED_AFTER = 200
"""Steps, two batches of the default length, after which compiling pays: it takes as long as some hundred of them."""


class StaticSteps:
    """Reads all slots at every step."""

    refills = True

    def __init__(self, decoder: Decoder, chooser: TokenChooser, device: torch.device) -> None:
        """Take the decoder, of PyTorch's operations alone, and what chooses."""
        self.decoder, self.chooser, self.device = decoder, chooser, device
        self.graphs = device.type == "cuda"
        """Whether steps are captured; not any more if that has failed."""
        self.compiles = device.type == "cuda"
        """Whether steps will be compiled; not any more once they are, or that has failed."""
        self._fast: tuple[Decoder, tuple[int, int]] | None = None
        """The decoder as it was compiled, and for how many slots and places."""
        self._taken = 0
        """Steps so far."""
        self._cache: Any = None
        self._captured: dict[int, tuple[Any, torch.Tensor]] = {}

    def begin(self, slots: Slots) -> None:
        """Make room for what the slots will hold."""
        self._captured, self._cache = {}, None  # its memory first: there may not be enough for both
        self._cache = self.decoder.empty_cache(len(slots), slots.texts.shape[1])

    def advance(self, slots: Slots) -> int:
        """Let every row go on by some tokens, and look; return how many were settled in float64."""
        with devices.any_kernels():  # sums here are of integers, and no two writes meet
            self._shrink(slots)
            if self.compiles and self._taken >= COMPILED_AFTER and slots.taken.all():  # else no row waits any more
                self._compile(slots)
            # One place more than was seen: a row whose token was settled after the last look is further than that.
            length = self._rounded_up(slots, int(slots.seen[3, slots.taken].max()) + 1 + TOGETHER)
            logits = torch.empty(0)
            for _ in range(TOGETHER):
                logits = self._step(slots, length)
            self._taken += TOGETHER
            slots.look()
            return self._settle(slots, logits)

    def _settle(self, slots: Slots, logits: torch.Tensor) -> int:
        """Choose in float64 where it was too close to call, from the logits of the last step."""
        doubtful = slots.seen[2].nonzero()[0]
        if not len(doubtful):
            return 0
        rows = torch.from_numpy(doubtful).to(self.device)
        chosen, _ = self.chooser.choose_on_device(logits[rows].double(), slots.numbers[rows], slots.steps[rows])
        tokens, going = torch.zeros_like(slots.places), torch.zeros_like(slots.running)
        tokens[rows], going[rows] = chosen, True
        slots.accept(tokens, going)
        slots.doubtful.zero_()
        return len(doubtful)

    def _shrink(self, slots: Slots) -> None:
        """Halve the slots while half of them would do: none is filled any more, or they would not be free."""
        count = len(slots)
        while count > FEWEST and slots.taken.sum() <= count // 2:
            count //= 2
        if count < len(slots):
            kept = (~slots.taken).argsort(kind="stable")[:count]  # those that are taken come first
            slots.select(kept)
            self._cache.select(torch.from_numpy(kept).to(self.device))
            self._captured = {}

    def _compile(self, slots: Slots) -> None:
        """Take a step by a decoder that is compiled at it; where that fails, all are taken without from now on."""
        self.compiles, self._captured = False, {}
        self._fast = self.decoder.compiled(), (len(slots), self._cache.places)
        try:
            self._plain_step(slots, self._cache.places)
        except Exception as error:  # the compiler's have no base of their own, nor have those of what it calls
            self._fast = None
            _do_without(error, "compiled, and are taken kernel by kernel")
        slots.look()

    def _reader(self, slots: Slots) -> Decoder:
        """Return the decoder, compiled if it was for so many slots."""
        if self._fast is not None and self._fast[1] == (len(slots), self._cache.places):
            return self._fast[0]
        return self.decoder

    def _rounded_up(self, slots: Slots, length: int) -> int:
        """Return one of few lengths, for each of which there is a graph; all that there is where steps are compiled."""
        rounded = SHORTEST if self._reader(slots) is self.decoder else self._cache.places
        while rounded < length:
            rounded *= 2
        return min(rounded, self._cache.places)

    def _step(self, slots: Slots, length: int) -> torch.Tensor:
        """Take a step; return the logits, which last until the next."""
        if length in self._captured:
            graph, logits = self._captured[length]
            graph.replay()
            return logits
        if self.graphs:
            return self._capture(slots, length)
        return self._plain_step(slots, length)

    def _plain_step(self, slots: Slots, length: int) -> torch.Tensor:
        self._cache.length, decoder = length, self._reader(slots)
        tokens = slots.texts.gather(1, slots.places[:, None])[:, 0]
        logits = decoder.logits(decoder.step(tokens, slots.places, self._cache))
        # Rows at their prompt have no steps yet; what is chosen for them is not taken.
        chosen, safe = self.chooser.choose_on_device(logits, slots.numbers, slots.steps.clamp_min(0))
        sure = slots.given | safe
        slots.doubtful.copy_(slots.running & ~sure)
        slots.accept(chosen, slots.running & sure)
        return logits

    def _capture(self, slots: Slots, length: int) -> torch.Tensor:
        """Take a step, which warms up what it needs, and capture the same for later ones.

        Where that fails, all steps are taken kernel by kernel from now on.
        """
        done = None
        try:
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                done = self._plain_step(slots, length)
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            # Graphs are replayed one after the other, and so can share their memory.
            pool = next((known.pool() for known, _ in self._captured.values()), None)
            with torch.cuda.graph(graph, pool=pool):
                logits = self._plain_step(slots, length)
            self._captured[length] = graph, logits
            return done
        except (RuntimeError, AssertionError) as error:
            _do_without(error, "captured as a CUDA graph, and are taken one by one")
            self.graphs, self._captured = False, {}
        return self._step(slots, length) if done is None else done


def _do_without(error: Exception, what: str) -> None:
    """Say what steps cannot be, and why; too little memory is raised on: fewer slots will do."""
    if memory.is_out_of_memory(error):
        raise error
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    log.info("steps cannot be %s (%s)", what, reason)
