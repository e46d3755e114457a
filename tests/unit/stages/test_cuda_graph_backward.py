"""Finetuning with captured training steps, with a stand-in for CUDA on a CPU."""

import logging
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.utils import import_utils

from gendist.config.generator_settings import Generator
from gendist.jobs.checkpoints import Checkpoints
from gendist.jobs.work_folder import WorkFolder
from gendist.stages.generator import cuda_graph_backward, training_loop
from gendist.stages.generator.cuda_graph_backward import CudaGraphBackward, can_capture
from gendist.stages.generator.training_loop import TrainingState, train_model

WINDOW, BATCH = 12, 2


def tiny(dropout: float = 0.1) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    rates = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
    return GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=60, n_positions=32, **rates))


@pytest.fixture
def graphs(monkeypatch):
    """Graphs that record nothing while they are captured, and compute the step at each replay."""
    seen = SimpleNamespace(replays=0, scale=1.0)

    class Graph:
        backward: CudaGraphBackward

        def replay(self):
            seen.replays += 1
            loss = self.backward.run_eagerly()
            self.backward.loss.copy_(loss * seen.scale)

    @contextmanager
    def capture(graph, stream):
        graph.backward, model = seen.owner, seen.owner.model
        kept = [weight.grad.clone() for weight in model.parameters()]
        yield
        for weight, gradient in zip(model.parameters(), kept, strict=True):
            weight.grad.copy_(gradient)

    class Owner(CudaGraphBackward):
        def __init__(self, model):
            super().__init__(model)
            seen.owner = self

    for name, part in (
        ("CUDAGraph", Graph),
        ("graph", capture),
        ("Stream", MagicMock),
        ("stream", nullcontext),
        ("current_stream", MagicMock()),
        ("current_device", lambda: 0),
        ("default_generators", [MagicMock()]),
        ("get_rng_state", lambda _: torch.get_rng_state()),
        ("set_rng_state", lambda state, _: torch.set_rng_state(state)),
    ):
        monkeypatch.setattr(torch.cuda, name, part)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(training_loop, "CudaGraphBackward", Owner)
    monkeypatch.setattr(training_loop, "can_capture", lambda _: True)
    return seen


def finetune(settings: Generator, windows: int) -> tuple[dict[str, torch.Tensor], TrainingState]:
    model = tiny()
    rows = np.random.default_rng(0).integers(1, 59, (windows, WINDOW)).tolist()
    checkpoints: Checkpoints[TrainingState] = Checkpoints(WorkFolder(None, Path("generator"), {}), TrainingState())
    torch.manual_seed(1)
    train_model(
        model,
        rows,
        rows[:1],
        limit=WINDOW,
        start=0,
        rng=np.random.default_rng(0),
        settings=settings,
        checkpoints=checkpoints,
    )
    return model.state_dict(), checkpoints.state


def settings(**changed) -> Generator:
    base = {"epochs": 2, "window": WINDOW, "batch_size": BATCH, "learning_rate": 1e-3, "gradient_checkpointing": False}
    return Generator(**{**base, **changed})


def assert_same(found, expected):
    (weights, state), (their_weights, their_state) = found, expected
    np.testing.assert_array_equal(state.history, their_state.history)
    for name, value in their_weights.items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=0, msg=name)


def test_captured_steps_train_the_weights_of_eager_ones(graphs, monkeypatch):
    found = finetune(settings(), windows=7)  # the last batch of an epoch has one row, and runs eagerly
    assert graphs.replays == 1 + 2 * 3
    monkeypatch.setattr(training_loop, "can_capture", lambda _: False)
    assert_same(found, finetune(settings(), windows=7))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("capture", "CUDA graph capture failed; running training steps eagerly (operation not permitted)"),
        ("result", "running training steps eagerly: captured loss and gradient"),
    ],
)
def test_a_capture_that_fails_or_differs_leaves_eager_steps(broken, message, graphs, monkeypatch, caplog):
    caplog.set_level(logging.INFO, cuda_graph_backward.__name__)
    if broken == "capture":
        monkeypatch.setattr(torch.cuda, "graph", MagicMock(side_effect=RuntimeError("operation not permitted")))
    graphs.scale = 1.1
    found = finetune(settings(), windows=6)
    assert [line[: len(message)] for line in caplog.messages if "eagerly" in line] == [message]
    assert graphs.replays == (broken == "result") and not graphs.owner.enabled
    monkeypatch.setattr(training_loop, "can_capture", lambda _: False)
    assert_same(found, finetune(settings(), windows=6))


def test_only_windows_are_captured(graphs):
    finetune(settings(unit="examples"), windows=4)
    assert not graphs.replays


def test_a_step_is_captured_on_a_gpu_without_checkpointing(monkeypatch):
    model = tiny()
    assert not can_capture(model)
    monkeypatch.setattr(model, "parameters", lambda: iter([SimpleNamespace(device=torch.device("cuda"))]))
    assert can_capture(model)
    model.transformer.gradient_checkpointing = True
    assert not can_capture(model)


def test_a_step_to_capture_reads_nothing_from_the_device(monkeypatch):
    """On the meta device, any read of a value raises an error."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # it does not know that device
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda _: False)
    backward = CudaGraphBackward(tiny().to("meta"))
    backward.ids = torch.zeros(BATCH, WINDOW, dtype=torch.long, device="meta")
    assert backward.run_eagerly().device.type == "meta"
    assert all(weight.grad.device.type == "meta" for weight in backward.model.parameters())


def test_transformers_computes_the_same_during_a_capture(monkeypatch):
    """While a stream captures, it avoids reads of values, which must not change the attention mask."""
    backward = CudaGraphBackward(tiny(dropout=0.0))
    backward.ids = torch.randint(0, 59, (BATCH, WINDOW))
    loss = backward.run_eagerly()
    gradients = [weight.grad.clone() for weight in backward.model.parameters()]
    backward.model.zero_grad(set_to_none=False)
    monkeypatch.setattr(import_utils, "is_cuda_stream_capturing", lambda: True)
    assert import_utils.is_tracing(loss)
    assert torch.equal(backward.run_eagerly(), loss)
    for weight, gradient in zip(backward.model.parameters(), gradients, strict=True):
        assert torch.equal(weight.grad, gradient)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_captured_steps_on_a_gpu():
    model, batches = tiny().cuda(), torch.randint(0, 59, (3, BATCH, WINDOW))
    backward = CudaGraphBackward(model)
    for ids in batches:
        state = torch.cuda.get_rng_state()
        captured = backward(ids)
        assert captured is not None
        gradients = [weight.grad.clone() for weight in model.parameters()]
        model.zero_grad(set_to_none=False)
        torch.cuda.set_rng_state(state)
        backward.ids.copy_(ids)
        torch.testing.assert_close(captured, backward.run_eagerly(), rtol=1e-2, atol=0)
        for weight, gradient in zip(model.parameters(), gradients, strict=True):
            torch.testing.assert_close(weight.grad, gradient, rtol=5e-2, atol=1e-3)
        model.zero_grad(set_to_none=False)
