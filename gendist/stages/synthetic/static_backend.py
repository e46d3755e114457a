"""Sampling back end for GPUs: decode steps on tensors of fixed shape, captured as CUDA graphs.

A step computes a token of every slot, draws the next one and stores it, all on the device without synchronisation, so
that one CUDA graph replays the thousands of kernels of several steps. Rows that end between two synchronisations are
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
from gendist.stages.synthetic.static_decoder import LENGTH_MULTIPLE, StaticDecoder

log = logging.getLogger(__name__)

STEPS_PER_SYNC = 4
"""Decode steps between two synchronisations: a row that ends wastes two of about a hundred steps on average."""
ATTENTION_BACKENDS = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""Memory-efficient attention takes a mask, with one kernel for all lengths; the fallback is for unsupported head
widths."""


class StaticBackend(SamplingBackend):
    """Computes all slots at every step."""

    continuous_batching, fixed_batch_size = True, True

    def __init__(self, decoder: StaticDecoder, sampler: DeviceGumbelSampler, device: torch.device) -> None:
        """Decode with ``decoder`` and draw with ``sampler``, both on ``device``."""
        self.decoder, self.sampler, self.device = decoder, sampler, device
        self.uses_cuda_graphs = device.type == "cuda"
        """Set to False after a capture has failed."""
        self._cache = torch.empty(0)
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}
        """By attention length."""

    def allocate(self, slots: Slots) -> None:
        """Allocate the KV cache; captured graphs are dropped with the old one."""
        self._graphs, self._cache = {}, torch.empty(0)  # freed first: both may not fit in memory
        self._cache = self.decoder.empty_cache(len(slots), slots.tokens.shape[1])

    def advance(self, slots: Slots) -> int:
        """Run ``STEPS_PER_SYNC`` decode steps and synchronise; no token is redrawn in float64."""
        longest = int(slots.host_positions[slots.occupied].max()) + STEPS_PER_SYNC
        length = min(-(-longest // LENGTH_MULTIPLE) * LENGTH_MULTIPLE, self._cache.shape[2])
        with devices.allow_nondeterministic():  # index_copy_ has unique indices here, so its fast kernel is exact
            self.run_steps(slots, length)
            slots.sync()
        return 0

    def run_steps(self, slots: Slots, length: int) -> None:
        """Run ``STEPS_PER_SYNC`` decode steps with attention over ``length`` positions, as a CUDA graph if possible."""
        with sdpa_kernel(ATTENTION_BACKENDS):
            if length in self._graphs:
                self._graphs[length].replay()
            elif self.uses_cuda_graphs:
                self._run_and_capture(slots, length)
            else:
                self._run_eagerly(slots, length)

    def _run_eagerly(self, slots: Slots, length: int) -> None:
        for noise in self.sampler.noise(slots.numbers, slots.generated, STEPS_PER_SYNC):
            tokens = slots.tokens.gather(1, slots.positions[:, None])[:, 0]
            logits = self.decoder.step(tokens, slots.positions, self._cache, length)
            slots.append(self.sampler(logits, noise), slots.running)

    def _run_and_capture(self, slots: Slots, length: int) -> None:
        """Run the steps eagerly, which is the warm-up that capture needs, then capture the same steps."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self._run_eagerly(slots, length)
        torch.cuda.current_stream().wait_stream(stream)
        try:
            graph = torch.cuda.CUDAGraph()
            # Graphs are replayed one at a time, so they can share a memory pool.
            with torch.cuda.graph(graph, pool=next((other.pool() for other in self._graphs.values()), None)):
                self._run_eagerly(slots, length)
            self._graphs[length] = graph
        except (RuntimeError, AssertionError) as error:
            if out_of_memory.is_out_of_memory(error):
                raise
            self._log_fallback(error)

    def _log_fallback(self, error: BaseException) -> None:
        log.info("CUDA graph capture failed; running decode steps eagerly (%s)", error)
        self.uses_cuda_graphs, self._graphs = False, {}
