"""Sampling back end for GPUs: decode steps on tensors of fixed shape, captured as CUDA graphs.

A step computes a token of every slot, draws the next one and stores it, all on the device without synchronisation, so
that a CUDA graph replays its hundreds of kernels. Rows that end between two synchronisations are
computed to no effect. The batch size is constant: a row gets the same kernels whatever the other slots contain.
"""

import logging

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from gendist.jobs import out_of_memory
from gendist.nn import devices
from gendist.stages.synthetic.batch_slots import Slots
from gendist.stages.synthetic.device_gumbel_sampler import DeviceGumbelSampler
from gendist.stages.synthetic.sampling_backend import SamplingBackend
from gendist.stages.synthetic.static_decoder import StaticDecoder

log = logging.getLogger(__name__)

STEPS_PER_SYNC = 4
"""Decode steps between two synchronisations: a row that ends wastes two of about a hundred steps on average."""
ATTENTION_BACKENDS = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""Of the plain kernels. Memory-efficient attention takes a mask; the fallback is for unsupported head widths."""


class StaticBackend(SamplingBackend):
    """Computes all slots at every step."""

    continuous_batching, fixed_batch_size = True, True

    def __init__(self, decoder: StaticDecoder, sampler: DeviceGumbelSampler, device: torch.device) -> None:
        """Decode with ``decoder`` and draw with ``sampler``, both on ``device``."""
        self.decoder, self.sampler, self.device = decoder, sampler, device
        self.uses_cuda_graphs = device.type == "cuda"
        """Set to False after a capture has failed."""
        self._cache = torch.empty(0)
        self._graph: torch.cuda.CUDAGraph | None = None

    def allocate(self, slots: Slots) -> None:
        """Allocate the KV cache; the captured graph is dropped with the old one."""
        self._graph, self._cache = None, torch.empty(0)  # freed first: both may not fit in memory
        self._cache = self.decoder.empty_cache(len(slots), slots.tokens.shape[1])

    def advance(self, slots: Slots) -> int:
        """Run ``STEPS_PER_SYNC`` decode steps and synchronise; no token is redrawn in float64."""
        with devices.allow_nondeterministic():  # index_copy_ has unique indices here, so its fast kernel is exact
            self.run_steps(slots)
            slots.sync()
        return 0

    def run_steps(self, slots: Slots, count: int = STEPS_PER_SYNC) -> None:
        """Run decode steps without synchronisation, as a CUDA graph of one step if possible."""
        with sdpa_kernel(ATTENTION_BACKENDS):
            for _ in range(count):
                if self._graph is not None:
                    self._graph.replay()
                elif self.uses_cuda_graphs:
                    self._run_and_capture(slots)
                else:
                    self.run_eagerly(slots)

    def run_eagerly(self, slots: Slots) -> None:
        """Run one decode step as separate kernels, without synchronisation."""
        tokens = slots.tokens.gather(1, slots.positions[:, None])[:, 0]
        logits = self.decoder.step(tokens, slots.positions, self._cache)
        slots.append(self.sampler(logits, slots.numbers, slots.generated), slots.running)

    def _run_and_capture(self, slots: Slots) -> None:
        """Run a step eagerly, which is the warm-up that capture needs, then capture the same step."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self.run_eagerly(slots)
        torch.cuda.current_stream().wait_stream(stream)
        try:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self.run_eagerly(slots)
            self._graph = graph
        except (RuntimeError, AssertionError) as error:
            if out_of_memory.is_out_of_memory(error):
                raise
            log.info("CUDA graph capture failed; running decode steps eagerly (%s)", error)
            self.uses_cuda_graphs = False
