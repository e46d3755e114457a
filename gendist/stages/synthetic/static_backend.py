"""Rows go on by steps that are functions of tensors of fixed sizes: the way of a GPU.

A step reads a token of every slot, draws the next, and writes it down, all on the device. Nothing in it waits for the
CPU, so a CUDA graph replays the thousands of kernels of some steps at once. Rows that have ended meanwhile stay where
they are. The number of slots never changes, so a row gets the same kernels, whatever else is written beside it.
"""

import logging

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from gendist.jobs import out_of_memory
from gendist.nn import devices
from gendist.stages.synthetic.device_gumbel_sampler import GumbelSampler
from gendist.stages.synthetic.batch_slots import Slots
from gendist.stages.synthetic.static_decoder import LENGTHS, StaticDecoder

log = logging.getLogger(__name__)

WINDOW = 4
"""Steps before the CPU looks: a row loses two of its hundred on average when it ends."""
ATTENTION = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""On a GPU: one kernel for all lengths, which takes a mask; the other where it cannot take the shape of a head."""


class StaticSteps:
    """Reads all slots at every step."""

    refills, fixed_slots = True, True

    def __init__(self, decoder: StaticDecoder, sampler: GumbelSampler, device: torch.device) -> None:
        """Take what reads, and what draws."""
        self.decoder, self.sampler, self.device = decoder, sampler, device
        self.captures = device.type == "cuda"
        """Whether steps are captured; not any more if that has failed."""
        self._cache = torch.empty(0)
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}
        """By the length that attention reads."""

    def begin(self, slots: Slots) -> None:
        """Make room for what the slots will hold."""
        self._graphs, self._cache = {}, torch.empty(0)  # its memory first: there may not be enough for both
        self._cache = self.decoder.empty_cache(len(slots), slots.texts.shape[1])

    def advance(self, slots: Slots) -> int:
        """Let every row go on by some tokens, and look; nothing is settled in float64."""
        longest = int(slots.seen[2, slots.taken].max()) + WINDOW
        length = min(-(-longest // LENGTHS) * LENGTHS, self._cache.shape[2])
        with devices.any_kernels():  # no two writes meet
            self.take(slots, length)
            slots.look()
        return 0

    def take(self, slots: Slots, length: int) -> None:
        """Take some steps, in which attention reads ``length`` positions, by a graph where there is one."""
        with sdpa_kernel(ATTENTION):
            if length in self._graphs:
                self._graphs[length].replay()
            elif self.captures:
                self._capture(slots, length)
            else:
                self._window(slots, length)

    def _window(self, slots: Slots, length: int) -> None:
        """Take some steps."""
        for noise in self.sampler.noise(slots.numbers, slots.steps, WINDOW):
            tokens = slots.texts.gather(1, slots.places[:, None])[:, 0]
            scores = self.decoder.step(tokens, slots.places, self._cache, length)
            slots.accept(self.sampler(scores, noise), slots.running)

    def _capture(self, slots: Slots, length: int) -> None:
        """Take some steps, which warms up what they need, and capture the same for later."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self._window(slots, length)
        torch.cuda.current_stream().wait_stream(stream)
        try:
            graph = torch.cuda.CUDAGraph()
            # Graphs are replayed one after the other, and so can share their memory.
            with torch.cuda.graph(graph, pool=next((other.pool() for other in self._graphs.values()), None)):
                self._window(slots, length)
            self._graphs[length] = graph
        except (RuntimeError, AssertionError) as error:
            if out_of_memory.is_out_of_memory(error):
                raise
            log.info("steps cannot be captured as a CUDA graph, and are taken one by one (%s)", error)
            self.captures, self._graphs = False, {}
