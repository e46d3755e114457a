"""Rows written in slots that are filled again: token by token, and in steps of fixed sizes as on a GPU."""

import logging
import shutil
from contextlib import contextmanager, nullcontext
from functools import partial
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from transformers import GPT2Config, GPT2LMHeadModel

from gendist import stopping
from gendist.generator.finetune import boundary_tokens
from gendist.int8 import linear
from gendist.int8.decoder import Decoder
from gendist.int8.linear import IntegerLinear, whole_weights
from gendist.models import load_causal_lm, load_tokenizer
from gendist.synthetic import static, weights
from gendist.synthetic.batch_size import fitting, row_bytes
from gendist.synthetic.device_noise import gumbel_on_device, philox_words
from gendist.synthetic.noise import gumbel, philox4x32
from gendist.synthetic.sampler import Sampler
from gendist.synthetic.settings import Sampling
from gendist.synthetic.slots import Slots, Task
from gendist.synthetic.static import StaticSteps

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
    sampler = Sampler(*parts, [3], chosen)
    if kind == "static":
        sampler.steps = StaticSteps(Decoder(parts[0]), sampler.chooser, CPU)
    return sampler


def rows(sampler, numbers=range(50), prompts=PROMPTS):
    found = {row.number: (row.tokens, row.stopped) for row in sampler.sample(numbers, prompts)}
    assert list(found) != sorted(found) or len(found) < 3 or sampler.batch_size == 1
    return found


@pytest.mark.parametrize("settings", STRATEGIES, ids=str)
def test_steps_of_fixed_sizes_write_the_same_rows(parts, settings, monkeypatch):
    known = rows(sampler_of(parts, 50, **settings))
    assert len({len(tokens) for tokens, _ in known.values()}) > 4
    assert settings != STRATEGIES[0] or {stopped for _, stopped in known.values()} == {True, False}
    for fewest, shortest in ((32, 32), (2, 4)):  # one size for all, and several
        monkeypatch.setattr(static, "FEWEST", fewest)
        monkeypatch.setattr(static, "SHORTEST", shortest)
        assert rows(sampler_of(parts, 9, "static", **settings)) == known


def test_tokens_that_are_settled_are_the_same_either_way(parts, monkeypatch):
    known = rows(sampler_of(parts, 6))
    monkeypatch.setattr(weights, "MARGIN", 0.3)
    for kind in ("stepwise", "static"):
        sampler = sampler_of(parts, 6, kind)
        assert rows(sampler) == known
        total = sum(len(tokens) + stopped for tokens, stopped in known.values())
        assert 0.1 * total < sampler.settled < total


def test_rows_of_all_lengths_share_the_slots(parts):
    """A long row does not keep the others from beginning, and slots that nobody waits for cost nothing."""
    sampler = sampler_of(parts, 5)
    seen, original = [], sampler.steps.reader.decoder.step

    def counted(tokens, places, cache, slots=None):
        seen.append(len(tokens))
        return original(tokens, places, cache, slots)

    sampler.steps.reader.decoder.step = counted
    known = rows(sampler)
    read = sum(len(tokens) + stopped + len(PROMPTS[number]) for number, (tokens, stopped) in known.items())
    assert sum(seen) == read
    full = seen.index(4) if 4 in seen else len(seen)
    assert set(seen[:full]) == {5} and sum(seen[:full]) > 0.8 * read
    assert seen[full:] == sorted(seen[full:], reverse=True)


def test_float32_is_read_at_one_place_at_a_time(parts):
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
            raise stopping.Stopped(15)

    monkeypatch.setattr(stopping, "asked", lambda: len(found) >= 3)
    monkeypatch.setattr(stopping, "check", check)
    known = rows(sampler_of(parts))
    with pytest.raises(stopping.Stopped):
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
    noise = gumbel_on_device(seed, torch.from_numpy(numbers), torch.from_numpy(steps), 22)
    np.testing.assert_allclose(noise.numpy(), gumbel(seed, numbers, steps, 22), rtol=1e-13)


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
@pytest.mark.parametrize("whole", [True, False])
def test_a_step_needs_nothing_of_the_cpu(parts, settings, whole, monkeypatch):
    """On the meta device there are no numbers: what waits for one, or brings one from the CPU, fails there."""
    monkeypatch.setattr(linear, "has_whole_products", lambda device: whole)
    model, start, end = parts
    meta = torch.device("meta")
    sampler = sampler_of(parts, **settings)
    steps = StaticSteps(Decoder(model.to(meta)), sampler.chooser, meta)
    slots = Slots(20, 40, end, meta)
    slots.put([Task(number, [start, 5], 30) for number in range(20)])
    with torch.inference_mode():
        steps.begin(slots)
        steps._plain_step(slots, 32)
        with _DeviceOnly() as counted:
            assert steps._plain_step(slots, 32).shape == (20, model.config.vocab_size)
    assert counted.operations > 100


def test_where_steps_cannot_be_captured_they_are_taken_one_by_one(parts, caplog):
    """As here, where there is no CUDA."""
    caplog.set_level(logging.INFO)
    sampler = sampler_of(parts, 20, "static")
    sampler.steps.graphs = True
    assert rows(sampler) == rows(sampler_of(parts, 20))
    assert [line for line in caplog.messages if "captured" in line] == [
        line for line in caplog.messages if line.startswith("steps cannot be captured as a CUDA graph, and are taken")
    ]
    assert sampler.steps.graphs is False


def test_captured_steps_write_the_same_rows(parts, monkeypatch):
    """With a stand-in for CUDA: what is captured has no effect until it is replayed."""
    steps, captured = [], []
    original = StaticSteps._plain_step

    def recorded(self, slots, length):
        steps.append((self, slots, length))
        return original(self, slots, length)

    class Graph:
        replays = 0

        def replay(self):
            self.replays += 1
            self.logits.copy_(original(*self.step))

        def pool(self):
            return "pool"

    @contextmanager
    def capture(graph, pool):
        assert (pool == "pool") is bool(sampler.steps._captured)
        slots = steps[-1][1]
        before = {name: part.clone() for name, part in vars(slots).items() if isinstance(part, torch.Tensor)}
        yield
        for name, part in before.items():
            getattr(slots, name).copy_(part)
        graph.step = steps[-1]
        captured.append(graph)

    monkeypatch.setattr(StaticSteps, "_plain_step", recorded)
    for name, part in (("CUDAGraph", Graph), ("graph", capture), ("Stream", MagicMock), ("stream", nullcontext)):
        monkeypatch.setattr(torch.cuda, name, part)
    monkeypatch.setattr(torch.cuda, "current_stream", MagicMock())
    monkeypatch.setattr(static, "FEWEST", 2)
    monkeypatch.setattr(static, "SHORTEST", 8)
    known = rows(sampler_of(parts, 50))
    sampler = sampler_of(parts, 9, "static")
    sampler.steps.graphs = True
    kept = StaticSteps._capture

    def held(self, slots, length):
        done = kept(self, slots, length)
        graph, logits = self._captured[length]
        graph.logits = logits
        return done

    monkeypatch.setattr(StaticSteps, "_capture", held)
    assert rows(sampler) == known
    assert sampler.steps.graphs and len(captured) > 3
    assert sum(graph.replays for graph in captured) > len(captured)


def compiling(parts, monkeypatch, compiler, **settings):
    """A sampler whose steps are compiled, by something that stands in for PyTorch's compiler."""
    monkeypatch.setattr(torch, "compile", compiler)
    monkeypatch.setattr(static, "COMPILED_AFTER", 16)
    monkeypatch.setattr(static, "SHORTEST", 8)
    monkeypatch.setattr(static, "FEWEST", 2)
    sampler = sampler_of(parts, 9, "static", **settings)
    sampler.steps.compiles = True
    return sampler


@pytest.mark.parametrize("settings", STRATEGIES, ids=str)
def test_compiled_steps_write_the_same_rows(parts, settings, monkeypatch):
    """Traced as a whole, without what makes kernels; the last rows, in fewer slots, are read without."""
    known, read, original = rows(sampler_of(parts, 50, **settings)), [], StaticSteps._plain_step

    def recorded(self, slots, length):
        read.append((self._reader(slots) is self.decoder, len(slots), length))
        return original(self, slots, length)

    monkeypatch.setattr(StaticSteps, "_plain_step", recorded)
    sampler = compiling(parts, monkeypatch, partial(torch.compile, backend="eager"), **settings)
    assert rows(sampler) == known
    places = {length for plain, _, length in read if not plain}
    assert [plain for plain, _, _ in read[:18]] == [True] * 16 + [False] * 2
    assert {count for plain, count, _ in read if not plain} == {9} and len(places) == 1
    assert {count for plain, count, _ in read[17:] if plain} <= {4, 2} and not sampler.steps.compiles


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of its own parts
@pytest.mark.skipif(not shutil.which("g++"), reason="PyTorch's compiler needs g++ on a CPU")
def test_the_compiler_computes_the_same(parts, monkeypatch, tmp_path):
    """The kernels that it makes here are not those of a GPU; what they are made from is the same."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(linear, "has_integer_products", lambda: False)
    model, start, _ = parts
    plain = Decoder(model)
    multiply = [part for layer in plain.layers for part in vars(layer).values() if isinstance(part, IntegerLinear)]
    for layer in [*multiply, plain.head, *filter(None, [plain.transform])]:
        layer.whole = whole_weights(layer.plain.t())
    fast, caches = plain.compiled(), [plain.empty_cache(6, 12) for _ in range(2)]
    places = torch.zeros(6, dtype=torch.long)
    tokens = torch.arange(6) + start
    with torch.inference_mode():
        for _ in range(12):
            logits = [
                one.logits(one.step(tokens, places, cache)) for one, cache in zip((plain, fast), caches, strict=True)
            ]
            torch.testing.assert_close(*logits, rtol=1e-6, atol=1e-6)
            tokens, places = logits[0].argmax(1), places + 1
    assert all(map(torch.equal, *(cache.keys + cache.values for cache in caches)))
    assert any(tmp_path.rglob("*.so"))


@pytest.mark.parametrize("error", [RuntimeError("no compiler\nfound"), KeyError("triton")])
def test_where_steps_cannot_be_compiled_they_are_taken_as_they_are(parts, error, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    sampler = compiling(parts, monkeypatch, lambda *_, **__: MagicMock(side_effect=error))
    assert rows(sampler) == rows(sampler_of(parts, 50))
    said = [line for line in caplog.messages if "compiled" in line]
    assert said == [f"steps cannot be compiled, and are taken kernel by kernel ({str(error).splitlines()[0]})"]


def test_too_little_memory_for_compiled_steps_halves_the_slots(parts, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    sampler = compiling(parts, monkeypatch, lambda *_, **__: MagicMock(side_effect=torch.OutOfMemoryError("CUDA")))
    assert rows(sampler) == rows(sampler_of(parts, 50))
    assert sampler.batch_size == 4 and "out of memory with 9 rows side by side; going on with 4" in caplog.messages


def test_as_many_rows_as_memory_allows():
    medium = GPT2Config(n_embd=1024, n_layer=24, n_head=16)
    each = row_bytes(medium, Sampling(max_tokens=100, precision="int8"))
    assert 7e6 < each < 12e6
    assert fitting(each, 140 * 10**9) == 1024 and fitting(each, 12 * 10**9) == 512 and fitting(each, 10**6) == 1
    model = GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=1))
    assert Sampler(model.eval(), 0, 1, [], Sampling()).batch_size == 128
    assert Sampler(model.eval(), 0, 1, [], Sampling(batch_size=3)).batch_size == 3
