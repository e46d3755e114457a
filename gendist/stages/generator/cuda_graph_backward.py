"""Forward and backward pass of a training step as one CUDA graph, so that launching its kernels takes no time."""

import logging
import math
from typing import Any

import torch

from gendist.jobs import out_of_memory
from gendist.nn import devices
from gendist.stages.generator.loss import summed_loss

log = logging.getLogger(__name__)

LOSS_TOLERANCE, GRADIENT_TOLERANCE = 0.01, 0.05
"""Accepted relative differences between the captured and the eager step, in loss and norm of the gradient. With the
same dropout they differ by rounding alone."""


def can_capture(model: Any) -> bool:
    """Return whether to capture the training steps of a model: on a GPU, without gradient checkpointing.

    Gradient checkpointing reads random states, which a capture cannot.
    """
    checkpointing = any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
    return next(model.parameters()).device.type == "cuda" and not checkpointing


class CudaGraphBackward:
    """Adds the gradient of the mean loss per token to ``grad`` of the weights, for batches of one shape on a GPU.

    Between steps, gradients are zeroed in place (``zero_grad(set_to_none=False)``): the graph has their addresses.
    The captured step is compared with an eager one first; if they differ, no step is replayed.
    """

    def __init__(self, model: Any) -> None:
        """Wrap a causal language model for which ``can_capture`` holds; the shape of its first batch is captured."""
        self.model, self.device = model, next(model.parameters()).device
        self.enabled = True
        """Set to False after a capture has failed."""
        self.ids, self.loss = torch.empty(0, dtype=torch.long), torch.empty(0)
        """Buffers of the graph: ids of a batch, (rows, tokens), and its summed loss."""
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, ids: torch.Tensor) -> torch.Tensor | None:
        """Compute a batch without padding and add its gradients.

        Args:
            ids: token ids, (rows, tokens), on the CPU.

        Returns:
            Summed loss in nats, on the GPU; None, without any effect, if the batch has to be computed eagerly.
        """
        if self.enabled and self._graph is None:
            self._capture(ids)
        if self._graph is None or ids.shape != self.ids.shape:
            return None
        self.ids.copy_(ids.pin_memory(), non_blocking=True)
        self._graph.replay()
        return self.loss.clone()

    def disable(self) -> None:
        """Compute all further batches eagerly, and release the graph's memory."""
        self.enabled, self._graph, self.loss = False, None, torch.empty(0)

    def run_eagerly(self) -> torch.Tensor:
        """Compute the batch in ``ids`` as separate kernels, add its gradients, and return its summed loss."""
        with devices.mixed_precision(self.device):
            loss = summed_loss(self.model, self.ids, None)
        (loss / self.ids[:, 1:].numel()).backward()
        return loss.detach()

    def _capture(self, ids: torch.Tensor) -> None:
        """Capture a step and compare it; gradients are zero and the random state is as before afterwards."""
        self.ids = ids.to(self.device, copy=True)
        random_state = torch.cuda.get_rng_state(self.device)
        try:
            expected, graph = self._run_and_capture(random_state)
            torch.cuda.set_rng_state(random_state, self.device)
            graph.replay()
            found = self._loss_and_norm(self.loss)
        except (RuntimeError, AssertionError) as error:
            self.disable()
            log.info("CUDA graph capture failed; running training steps eagerly (%s)", error)
            # A failed capture leaves the random generator unusable outside of captures.
            generator = torch.cuda.default_generators[torch.cuda.current_device()]
            generator.graphsafe_set_state(generator.clone_state())
        else:
            self._graph = graph
            if not (
                math.isclose(found[0], expected[0], rel_tol=LOSS_TOLERANCE)
                and math.isclose(found[1], expected[1], rel_tol=GRADIENT_TOLERANCE)
            ):
                self.disable()
                values = (*found, *expected)
                log.info(
                    "running training steps eagerly: captured loss and gradient %.5g, %.5g, not %.5g, %.5g", *values
                )
        torch.cuda.set_rng_state(random_state, self.device)
        self.model.zero_grad(set_to_none=not self.enabled)
        if not self.enabled:
            out_of_memory.release_memory()

    def _run_and_capture(self, random_state: torch.Tensor) -> tuple[tuple[float, float], torch.cuda.CUDAGraph]:
        """Run a step eagerly, the warm-up that capture needs; return its loss and gradient norm, and the graph."""
        self.model.zero_grad()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            loss = self.run_eagerly()
        torch.cuda.current_stream().wait_stream(stream)
        expected = self._loss_and_norm(loss)
        self.model.zero_grad(set_to_none=False)
        torch.cuda.set_rng_state(random_state, self.device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            self.loss = self.run_eagerly()
        return expected, graph

    def _loss_and_norm(self, loss: torch.Tensor) -> tuple[float, float]:
        gradients = [weight.grad for weight in self.model.parameters() if weight.grad is not None]
        return loss.item(), torch.nn.utils.get_total_norm(gradients).item()
