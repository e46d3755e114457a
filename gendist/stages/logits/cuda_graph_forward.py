"""Forward passes of a classifier as CUDA graphs: one per shape, so that launching kernels takes no time."""

import logging
from typing import Any

import torch

from gendist.jobs import out_of_memory

log = logging.getLogger(__name__)


class CudaGraphForward:
    """Computes the logits of batches of few different shapes on a GPU."""

    def __init__(self, model: Any) -> None:
        """Wrap a sequence classifier in evaluation mode, on a GPU."""
        self.model, self.enabled = model, True
        self.captured: dict[torch.Size, tuple[torch.cuda.CUDAGraph, torch.Tensor, torch.Tensor, torch.Tensor]] = {}
        """Graph, ids, mask and logits by shape of the ids."""

    def __call__(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the float32 logits (rows, classes) of token ids and their mask, (rows, tokens) in pinned memory."""
        if self.enabled and ids.shape not in self.captured:
            self._capture(ids, mask)
        if not self.enabled:
            return self._logits(*(part.to(self.model.device, non_blocking=True) for part in (ids, mask)))
        graph, ids_buffer, mask_buffer, logits = self.captured[ids.shape]
        ids_buffer.copy_(ids, non_blocking=True)
        mask_buffer.copy_(mask, non_blocking=True)
        graph.replay()
        return logits.clone()

    def _logits(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(input_ids=ids, attention_mask=mask).logits
        return logits.float()

    def _capture(self, ids: torch.Tensor, mask: torch.Tensor) -> None:
        buffers = [part.to(self.model.device, copy=True) for part in (ids, mask)]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # the warm-up that capture needs
            self._logits(*buffers)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Graphs are replayed one at a time, so they can share a memory pool.
        pool = next((known.pool() for known, *_ in self.captured.values()), None)
        try:
            with torch.cuda.graph(graph, pool=pool):
                logits = self._logits(*buffers)
        except (RuntimeError, AssertionError) as error:
            if out_of_memory.is_out_of_memory(error):
                raise
            log.info("CUDA graph capture failed; running the classifier eagerly (%s)", error)
            self.enabled = False
            return
        self.captured[ids.shape] = graph, buffers[0], buffers[1], logits
