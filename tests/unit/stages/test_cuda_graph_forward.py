"""Scoring with captured forward passes, with a stand-in for CUDA on a CPU."""

import logging
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from gendist.stages.logits.cuda_graph_forward import CudaGraphForward


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, num_labels=3
    )
    return BertForSequenceClassification(config).eval()


@pytest.fixture
def graphs(monkeypatch):
    """Graphs that compute at replay, from what their buffers contain then; returns those that were captured."""
    seen = SimpleNamespace(captured=[], forward=None)

    class Graph:
        replays = 0

        def pool(self):
            return "pool"

        def replay(self):
            self.replays += 1
            _, ids, mask, logits = next(entry for entry in seen.forward.captured.values() if entry[0] is self)
            logits.copy_(seen.forward.model(input_ids=ids, attention_mask=mask).logits)

    @contextmanager
    def capture(graph, pool):
        assert pool == ("pool" if seen.captured else None)
        seen.captured.append(graph)
        yield

    for name, part in (("CUDAGraph", Graph), ("graph", capture), ("Stream", MagicMock), ("stream", nullcontext)):
        monkeypatch.setattr(torch.cuda, name, part)
    monkeypatch.setattr(torch.cuda, "current_stream", MagicMock())
    return seen


def batch(seed: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(0, 50, (4, tokens), generator=torch.Generator().manual_seed(seed))
    mask = (torch.arange(tokens) < torch.tensor([[tokens], [3], [5], [1]])).long()
    return ids, mask


@torch.inference_mode()
def test_each_shape_is_captured_once_and_results_are_kept(model, graphs):
    forward = graphs.forward = CudaGraphForward(model)
    batches = [batch(seed, tokens) for seed, tokens in enumerate((8, 8, 16, 8, 16))]
    found = [forward(ids, mask) for ids, mask in batches]
    assert [graph.replays for graph in graphs.captured] == [3, 2]
    for (ids, mask), logits in zip(batches, found, strict=True):
        torch.testing.assert_close(logits, model(input_ids=ids, attention_mask=mask).logits)


@torch.inference_mode()
def test_a_failed_capture_leaves_eager_passes(model, graphs, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(torch.cuda, "graph", MagicMock(side_effect=RuntimeError("operation not permitted")))
    forward = CudaGraphForward(model)
    for seed in range(2):
        ids, mask = batch(seed, 8)
        torch.testing.assert_close(forward(ids, mask), model(input_ids=ids, attention_mask=mask).logits)
    assert (
        caplog.messages == ["CUDA graph capture failed; running the classifier eagerly (operation not permitted)"]
        and not forward.enabled
    )


@torch.inference_mode()
def test_memory_that_runs_out_is_the_callers(model, graphs, monkeypatch):
    monkeypatch.setattr(torch.cuda, "graph", MagicMock(side_effect=torch.cuda.OutOfMemoryError("CUDA out of memory")))
    with pytest.raises(torch.cuda.OutOfMemoryError):
        CudaGraphForward(model)(*batch(0, 8))
