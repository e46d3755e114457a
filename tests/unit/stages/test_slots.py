"""Rows written in slots that are filled again: token by token, and in steps of fixed sizes as on a GPU."""

import logging
import sys
from contextlib import contextmanager, nullcontext
from types import ModuleType
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig

from gendist.config.sampling_settings import Sampling
from gendist.jobs import stop_signals
from gendist.nn.pretrained import load_causal_lm, load_tokenizer
from gendist.stages import synthetic
from gendist.stages.generator.finetune_generator import boundary_tokens
from gendist.stages.synthetic import backend_selection, decode_kernels, logits_filter
from gendist.stages.synthetic.backend_selection import resolve_precision
from gendist.stages.synthetic.batch_size import bytes_per_row, largest_fitting_batch
from gendist.stages.synthetic.batch_slots import RowRequest, Slots
from gendist.stages.synthetic.decode_kernels import gumbel_noise_on_device, philox_words
from gendist.stages.synthetic.device_gumbel_sampler import DeviceGumbelSampler
from gendist.stages.synthetic.philox import gumbel_noise, philox4x32
from gendist.stages.synthetic.sampler import Sampler
from gendist.stages.synthetic.static_backend import StaticBackend
from gendist.stages.synthetic.static_decoder import StaticDecoder

CPU = torch.device("cpu")
PROMPTS = [[5, 6, 7, 8, 9][: i % 6] for i in range(50)]
STRATEGIES = [{"max_tokens": 6}, {"top_p": 0.8}, {"temperature": 1.3, "top_k": 20, "top_p": 0.9}]


@pytest.fixture(params=["generator", "bert_generator"])
def parts(request):
    """A model, and the tokens that open and close its rows."""
    folder = str(request.getfixturevalue(request.param))
    model = load_causal_lm(folder).eval()
    return model, *boundary_tokens(model.config, load_tokenizer(folder), "")


def sampler_of(parts, batch_size=8, kind="stepwise", precision="int8", **settings):
    chosen = Sampling(**{"max_tokens": 30, "batch_size": batch_size, "precision": precision, **settings})
    sampler = Sampler(parts[0], chosen, start=parts[1], end=parts[2], forbidden=[3])
    if kind == "static":
        sampler.backend = static_steps(parts, CPU, chosen)
    return sampler


def static_steps(parts, device, settings, dtype=torch.float32):
    draw = DeviceGumbelSampler(settings, parts[0].config.vocab_size, [3], device)
    return StaticBackend(StaticDecoder(parts[0], dtype, draw.columns), draw, device)


def rows(sampler, numbers=range(50), prompts=PROMPTS):
    found = {row.number: (row.tokens, row.stopped) for row in sampler.sample(numbers, prompts)}
    assert list(found) != sorted(found) or len(found) < 3 or sampler.batch_size == 1
    return found


@pytest.mark.parametrize("settings", STRATEGIES, ids=str)
def test_steps_of_fixed_sizes_write_the_rows_of_float32(parts, settings):
    """The oracle reads whole prompts with transformers, and draws from NumPy's noise, row by row."""
    known = rows(sampler_of(parts, 50, precision="float32", **settings))
    assert len({len(tokens) for tokens, _ in known.values()}) > 4
    assert settings != STRATEGIES[0] or {stopped for _, stopped in known.values()} == {True, False}
    for count in (9, 64):  # fewer and more slots than rows
        assert rows(sampler_of(parts, count, "static", **settings)) == known


def test_slots_are_used_again_for_the_next_rows(parts):
    """With what an abandoned pass left in them; longer rows get new ones."""
    known = rows(sampler_of(parts, 50, precision="float32"))
    sampler = sampler_of(parts, 9, "static")
    next(sampler.sample(range(50), PROMPTS))
    slots = sampler.slots
    assert slots.running.any() and slots.occupied.any()
    assert rows(sampler) == known and sampler.slots is slots
    list(sampler.sample([7], [[5] * 20]))
    assert sampler.slots is not slots and sampler.slots.longest > slots.longest
    assert rows(sampler) == known


def test_rows_in_bf16_do_not_depend_on_what_is_beside_them(parts):
    """Nor on the order in which they begin; most begin like those of float32."""
    settings = Sampling(max_tokens=30, batch_size=8)

    def written(numbers):
        sampler = sampler_of(parts, 8)
        sampler.backend = static_steps(parts, CPU, settings, torch.bfloat16)
        prompts = [PROMPTS[number] for number in numbers]
        return {row.number: (row.tokens, row.stopped) for row in sampler.sample(numbers, prompts)}

    known, exact = written(range(50)), rows(sampler_of(parts, 50, precision="float32"))
    assert written([49, 3, *range(20, 30), 0]) == {n: known[n] for n in (49, 3, *range(20, 30), 0)}
    assert sum(known[n][0][:3] == exact[n][0][:3] for n in known) > 40


def test_logits_of_a_step_are_those_of_the_whole_text(parts):
    model = parts[0]
    ids = torch.randint(3, model.config.vocab_size, (5, 20))
    with torch.inference_mode():
        expected = model(input_ids=ids).logits
        for dtype, apart in ((torch.float32, 1e-4), (torch.bfloat16, 0.2)):
            decoder = StaticDecoder(model, dtype, model.config.vocab_size + 7)
            cache = decoder.empty_cache(5, 20)
            assert cache.shape[1:3] == (2, 5) and cache.shape[4] == 20 and cache.dtype == dtype
            cache.fill_(9.0)  # what an earlier row left
            for place in range(20):
                found = decoder.step(ids[:, place], torch.full((5,), place), cache)
                assert found.dtype == torch.float32 and not found[:, model.config.vocab_size :].any()
                assert (found[:, : model.config.vocab_size] - expected[:, place]).abs().max() < apart


def test_close_draws_are_redrawn_in_float64_with_equal_rows(parts, monkeypatch):
    known = rows(sampler_of(parts, 6))
    monkeypatch.setattr(logits_filter, "MARGIN", 0.3)
    sampler = sampler_of(parts, 6)
    assert rows(sampler) == known
    total = sum(len(tokens) + stopped for tokens, stopped in known.values())
    assert 0.1 * total < sampler.redrawn < total


def test_rows_of_all_lengths_share_the_slots(parts):
    """A long row does not keep the others from beginning, and slots that nobody waits for cost nothing."""
    sampler = sampler_of(parts, 5)
    seen, original = [], sampler.backend.decoder.step

    def counted(tokens, positions, cache, slots=None):
        seen.append(len(tokens))
        return original(tokens, positions, cache, slots)

    sampler.backend.decoder.step = counted
    known = rows(sampler)
    read = sum(len(tokens) + stopped + len(PROMPTS[number]) for number, (tokens, stopped) in known.items())
    assert sum(seen) == read
    full = seen.index(4) if 4 in seen else len(seen)
    assert set(seen[:full]) == {5} and sum(seen[:full]) > 0.8 * read
    assert seen[full:] == sorted(seen[full:], reverse=True)


def test_float32_rows_do_not_depend_on_the_batch_size(parts):
    """Its rows begin together, with prompts of one length, in the same loop."""
    known = rows(sampler_of(parts, 50, precision="float32"))
    for size in (1, 7):
        assert rows(sampler_of(parts, size, precision="float32")) == known


def test_a_row_without_room_is_empty(parts):
    context = parts[0].config.max_position_embeddings
    sampler = sampler_of(parts)
    found = {row.number: row.tokens for row in sampler.sample(range(3), [[5] * (context - 1), [], [5] * (context - 2)])}
    assert found[0] == [] and found[1] and len(found[2]) <= 1


def test_a_stop_lets_rows_under_way_end_and_begins_no_more(parts, monkeypatch):
    found = []

    def check():
        if found:
            raise stop_signals.Stopped(15)

    monkeypatch.setattr(stop_signals, "stop_requested", lambda: len(found) >= 3)
    monkeypatch.setattr(stop_signals, "raise_if_stopped", check)
    known = rows(sampler_of(parts))
    with pytest.raises(stop_signals.Stopped):
        for row in sampler_of(parts, 4).sample(range(50), PROMPTS):
            found.append(row)  # one by one: others look at it
    assert 4 <= len(found) <= 9 and all(known[row.number] == (row.tokens, row.stopped) for row in found)


def test_noise_made_on_a_device_is_that_of_numpy():
    seed, numbers = 2**63 + 2**31 + 7, np.array([0, 1, 2**31, 2**32 - 1, 2**32, 2**62 + 12345])
    steps = np.array([0, 5, 127, 2**31, 4, 9])
    words = philox_words(seed, torch.from_numpy(numbers), torch.from_numpy(steps), 22)
    counter = np.broadcast_arrays(
        *(part.astype(np.uint64)[:, None] for part in (numbers & 0xFFFFFFFF, numbers >> 32, steps)),
        np.arange(6, dtype=np.uint64)[None],
    )
    expected = np.stack(philox4x32(tuple(counter), (seed & 0xFFFFFFFF, seed >> 32)), -1).reshape(6, -1)[:, :22]
    assert np.array_equal(words.numpy(), expected.astype(np.int64))
    noise = gumbel_noise_on_device(seed, torch.from_numpy(numbers), torch.from_numpy(steps), 22)
    np.testing.assert_allclose(noise.numpy(), gumbel_noise(seed, numbers, steps, 22), rtol=2e-6, atol=2e-6)


def test_noise_is_finite_for_the_first_and_last_words(monkeypatch):
    words = torch.tensor([[0, 1, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1]])
    monkeypatch.setattr(decode_kernels, "philox_words", lambda *_: words)
    found = gumbel_noise_on_device(0, torch.zeros(1), torch.zeros(1), 6)
    uniform = (words.double() + 0.5) * 2.0**-32
    torch.testing.assert_close(found.double(), -torch.log(-torch.log(uniform)), rtol=1e-6, atol=1e-6)


def test_noise_of_a_draw_is_that_of_its_row_and_step():
    draw, numbers, steps = DeviceGumbelSampler(Sampling(seed=5), 100, [], CPU), [7, 2**33, 8], [-2, 11, 0]
    found = draw(torch.zeros(3, draw.columns), torch.tensor(numbers), torch.tensor(steps))
    noise = gumbel_noise(5, np.array(numbers), np.array([0, 11, 0]), 20)
    assert found.tolist() == (10 * noise[:, :10].argmax(1) + noise[:, 10:].argmax(1)).tolist()


def test_plain_kernels_where_tritons_do_not_run(monkeypatch, caplog):
    """Without Triton, and without a C compiler."""
    caplog.set_level(logging.WARNING)
    name = "gendist.stages.synthetic.triton_kernels"
    monkeypatch.setitem(sys.modules, name, None)
    assert backend_selection.select_kernels(CPU) is decode_kernels
    monkeypatch.setitem(sys.modules, name, module := ModuleType(name))
    monkeypatch.setattr(synthetic, "triton_kernels", module, raising=False)
    module.draw = MagicMock(side_effect=RuntimeError("Failed to find C compiler.\nSet CC."))
    assert backend_selection.select_kernels(CPU) is decode_kernels
    assert len(caplog.messages) == 2 and "(Failed to find C compiler.)" in caplog.messages[1]
    module.draw = decode_kernels.draw
    assert backend_selection.select_kernels(CPU) is module and len(caplog.messages) == 2


class _DeviceOnly(TorchDispatchMode):
    """Refuses tensors of the CPU."""

    def __init__(self):
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        tensors = [part for part in tree_flatten((args, kwargs, result))[0] if isinstance(part, torch.Tensor)]
        assert all(part.device.type == "meta" for part in tensors), operation
        self.operations += 1
        return result


@pytest.mark.parametrize("settings", STRATEGIES, ids=str)
def test_a_step_needs_nothing_of_the_cpu(parts, settings):
    """On the meta device there are no numbers: what waits for one, or brings one from the CPU, fails there."""
    model, start, end = parts
    meta = torch.device("meta")
    steps = static_steps((model.to(meta), start, end), meta, Sampling(**settings), torch.bfloat16)
    slots = Slots(20, 40, end, meta)
    slots.start([RowRequest(number, [start, 5], 30) for number in range(20)])
    with torch.inference_mode():
        steps.allocate(slots)
        steps.run_eagerly(slots)
        with _DeviceOnly() as counted:
            steps.run_eagerly(slots)
    assert counted.operations > 100


def test_a_capture_that_fails_leaves_steps_one_by_one(parts, caplog, monkeypatch):
    """As here, where there is no CUDA."""
    caplog.set_level(logging.INFO)
    for name, part in (("Stream", MagicMock), ("stream", nullcontext), ("current_stream", MagicMock())):
        monkeypatch.setattr(torch.cuda, name, part)
    sampler = sampler_of(parts, 20, "static")
    sampler.backend.uses_cuda_graphs = True
    assert rows(sampler) == rows(sampler_of(parts, 20, precision="float32"))
    said = [line for line in caplog.messages if "CUDA graph" in line]
    assert len(said) == 1 and said[0].startswith("CUDA graph capture failed; running decode steps eagerly (")
    assert sampler.backend.uses_cuda_graphs is False


def test_captured_steps_write_the_same_rows(parts, monkeypatch):
    """With a stand-in for CUDA: what is captured has no effect until it is replayed."""
    taken, captured, original = [], [], StaticBackend.run_eagerly

    def recorded(self, slots):
        taken.append((self, slots))
        original(self, slots)

    class Graph:
        replays = 0

        def replay(self):
            self.replays += 1
            original(*self.window)

    @contextmanager
    def capture(graph):
        slots = taken[-1][1]
        before = {name: part.clone() for name, part in vars(slots).items() if isinstance(part, torch.Tensor)}
        yield
        for name, part in before.items():
            getattr(slots, name).copy_(part)
        graph.window = taken[-1]
        captured.append(graph)

    monkeypatch.setattr(StaticBackend, "run_eagerly", recorded)
    for name, part in (("CUDAGraph", Graph), ("graph", capture), ("Stream", MagicMock), ("stream", nullcontext)):
        monkeypatch.setattr(torch.cuda, name, part)
    monkeypatch.setattr(torch.cuda, "current_stream", MagicMock())
    sampler = sampler_of(parts, 9, "static")
    sampler.backend.uses_cuda_graphs = True
    assert rows(sampler) == rows(sampler_of(parts, 50, precision="float32"))
    assert sampler.backend.uses_cuda_graphs and len(captured) == 1 and captured[0].replays > 30
    assert rows(sampler) == rows(sampler_of(parts, 50, precision="float32")) and len(captured) == 1


def test_what_rows_are_computed_in_depends_on_the_device_and_the_model(parts):
    gpt2, llama, gpu = parts[0].config, LlamaConfig(), torch.device("cuda")
    found = {
        precision: [
            resolve_precision(Sampling(precision=precision), config, device, int8=int8)
            for device, config, int8 in ((CPU, gpt2, True), (CPU, llama, False), (gpu, gpt2, True), (gpu, llama, False))
        ]
        for precision in ("auto", "float32", "int8")
    }
    assert found == {
        "auto": ["int8", "float32", "bf16", "float32"],
        "float32": ["float32", "float32", "float32", "float32"],
        "int8": ["int8", "int8", "bf16", "int8"],
    }


def test_as_many_rows_as_memory_allows():
    medium = GPT2Config(n_embd=1024, n_layer=24, n_head=16)
    each = bytes_per_row(medium, Sampling(max_tokens=100), "bf16")
    assert 10e6 < each < 13e6
    assert (
        largest_fitting_batch(each, 85 * 10**9) == 2048
        and largest_fitting_batch(each, 12 * 10**9) == 512
        and largest_fitting_batch(each, 10**6) == 1
    )
    model = GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=1))
    assert Sampler(model.eval(), Sampling(), start=0, end=1).batch_size == 128
    assert Sampler(model.eval(), Sampling(batch_size=3), start=0, end=1).batch_size == 3
