"""Models in integers: near to float32, and the same whatever is computed beside them."""

import copy
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from gendist.config.sampling_settings import Sampling
from gendist.errors import GendistError
from gendist.nn import devices, int8_linear
from gendist.nn.int8_calibration import MAX_DIVERGENCE, calibrate_int8, int8_divergence
from gendist.nn.int8_decoder import Int8Decoder
from gendist.nn.int8_decoder_numba import NumbaInt8Decoder, create_int8_decoder
from gendist.nn.int8_linear import GELU_OFFSET, Int8Linear, quantize_rows
from gendist.nn.int8_options import Int8Options
from gendist.nn.pretrained import load_causal_lm, load_tokenizer
from gendist.stages.generator.finetune_generator import boundary_tokens
from gendist.stages.generator.generator_folder import read_record_file
from gendist.stages.synthetic.sampler import Sampler

MODELS = ["generator", "bert_generator"]


@pytest.fixture(params=MODELS)
def folder(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def model(folder):
    return load_causal_lm(str(folder)).eval()


@pytest.fixture(scope="module")
def wide():
    """A random GPT-2 with wide heads, and more positions than the tiny ones."""
    torch.manual_seed(3)
    config = GPT2Config(vocab_size=500, n_positions=300, n_embd=256, n_layer=2, n_head=2, initializer_range=0.1)
    return GPT2LMHeadModel(config).eval()


def read(decoder, ids):
    """The logits after each of some rows' tokens, (rows, positions, vocabulary)."""
    cache = decoder.empty_cache(*ids.shape)
    with torch.inference_mode():
        positions = torch.arange(ids.shape[1]).expand_as(ids)
        logits = [decoder.logits(decoder.step(*at, cache)) for at in zip(ids.t(), positions.t(), strict=True)]
    return torch.stack(logits, 1)


def test_rounding_is_per_row_and_within_half_a_level():
    x = torch.tensor([[1.0, -0.3, 0.0], [0.0, 0.0, 0.0], [1e6, 4e3, -5e5]], dtype=torch.float64)
    codes, scales = quantize_rows(x)
    assert codes.abs().max() == 127 and torch.equal(codes, codes.round())
    assert ((codes * scales - x).abs() <= scales / 2 + 1e-12).all()


def test_a_linear_layer_is_near_to_float32():
    torch.manual_seed(0)
    layer = torch.nn.Linear(300, 70)
    x = torch.randn(9, 300, dtype=torch.float64)
    ours = Int8Linear(layer.weight, layer.bias)(x)
    exact = copy.deepcopy(layer).double()(x)
    assert 0 < (ours - exact).abs().mean() < 0.02 * exact.abs().mean()


def test_an_outlier_costs_the_other_inputs_no_precision():
    torch.manual_seed(0)
    layer = torch.nn.Linear(300, 70)
    x = torch.randn(9, 300, dtype=torch.float64)
    usual = (Int8Linear(layer.weight, layer.bias)(x) - copy.deepcopy(layer).double()(x)).abs().mean()
    x[:, 17] = 1000.0
    codes, _, top, largest = int8_linear.quantize_inputs(x)
    assert (codes[:, 17] == int8_linear.ZERO_POINT).all() and (top == 17).all() and (largest == 1000).all()
    # The integer weights are exact here, so that only the rounding of the inputs is left.
    layer.weight.data = torch.randint(-127, 128, layer.weight.shape) / 127.0
    layer.weight.data[:, 0] = 1.0
    error = Int8Linear(layer.weight, layer.bias)(x) - copy.deepcopy(layer).double()(x)
    assert 0 < error.abs().mean() < 20 * usual  # a scale of 1000 / 127 would be off by 300 times as much


def test_an_outlier_weight_costs_the_other_weights_no_precision():
    torch.manual_seed(0)
    layer = torch.nn.Linear(300, 70)
    x = torch.randn(9, 300, dtype=torch.float64)
    usual = (Int8Linear(layer.weight, layer.bias)(x) - copy.deepcopy(layer).double()(x)).abs().mean()
    with torch.no_grad():
        layer.weight[torch.arange(70), torch.randint(300, (70,))] = -5.0  # a hundred times as large as the others
    exact = copy.deepcopy(layer).double()(x)
    rounded, apart = (
        (Int8Linear(layer.weight, layer.bias, outliers=outliers)(x) - exact).abs().mean() for outliers in (False, True)
    )
    assert 0 < apart < 2 * usual and rounded > 20 * usual


def test_two_passes_round_inputs_to_16_bits():
    torch.manual_seed(0)
    layer = torch.nn.Linear(300, 70)
    layer.weight.data = torch.randint(-127, 128, layer.weight.shape) / 127.0
    layer.weight.data[:, 0] = 1.0
    x = torch.randn(9, 300, dtype=torch.float64).abs()
    exact = copy.deepcopy(layer).double()(x)
    for offset in (0.0, GELU_OFFSET):
        once, twice = (
            (Int8Linear(layer.weight, layer.bias, offset=offset, two_pass=two)(x) - exact).abs().mean()
            for two in (False, True)
        )
        assert 0 < twice < once / 50


def test_inputs_with_a_lower_bound_use_all_levels():
    torch.manual_seed(0)
    layer = torch.nn.Linear(300, 70)
    layer.weight.data = torch.randint(-127, 128, layer.weight.shape) / 127.0
    layer.weight.data[:, 0] = 1.0
    x = torch.nn.functional.gelu(3 * torch.randn(9, 300, dtype=torch.float64), approximate="tanh")
    assert x.min() >= -GELU_OFFSET
    exact = copy.deepcopy(layer).double()(x)
    signed, unsigned = (
        (Int8Linear(layer.weight, layer.bias, offset=offset)(x) - exact).abs().mean() for offset in (0.0, GELU_OFFSET)
    )
    assert unsigned < 0.7 * signed


def test_probabilities_are_near_to_those_of_float32(model):
    torch.manual_seed(1)
    ids = torch.randint(3, model.config.vocab_size, (6, 20)).tolist()
    options, nats = calibrate_int8(model, ids)
    assert options == Int8Options(stochastic=True) and 0 < nats < MAX_DIVERGENCE


@pytest.fixture(scope="module")
def with_outliers():
    """A GPT-2 some of whose feed-forward activations are a thousand times as large as the others."""
    torch.manual_seed(4)
    config = GPT2Config(vocab_size=300, n_positions=64, n_embd=64, n_layer=2, n_head=2, initializer_range=0.1)
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for block in model.transformer.h:
            block.mlp.c_fc.weight[:, :8] *= 300
            block.mlp.c_proj.weight[:8] /= 300
            block.mlp.c_proj.weight[8:] *= 4
    return model


def test_calibration_gives_weak_layers_16_bit_inputs(with_outliers):
    ids = torch.randint(3, 300, (6, 30)).tolist()
    assert int8_divergence(with_outliers, create_int8_decoder(with_outliers), ids) > MAX_DIVERGENCE
    options, nats = calibrate_int8(with_outliers, ids)
    assert options == Int8Options(("down",)) and nats < MAX_DIVERGENCE

    def rows(batch_size):
        settings = Sampling(max_tokens=20, batch_size=batch_size, precision="int8")
        return {
            row.number: row.tokens
            for row in Sampler(with_outliers, settings, start=0, end=1, int8=options).sample(range(9))
        }

    assert rows(9) == rows(2)


def test_outlier_weights_are_separated_and_int8_stays_accurate():
    torch.manual_seed(4)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=300, n_positions=64, n_embd=64, n_layer=2, n_head=2)).eval()
    with torch.no_grad():
        for block in model.transformer.h:  # weights are stored as (inputs, outputs)
            block.mlp.c_proj.weight[torch.randint(256, (64,)), torch.arange(64)] = 4.0
    ids = torch.randint(3, 300, (6, 30)).tolist()
    for layer in (decoder := create_int8_decoder(model)).layers:
        assert layer.down.outliers[1].tolist() == [4.0] * 64
    assert int8_divergence(model, decoder, ids) < MAX_DIVERGENCE
    ids = torch.randint(3, 300, (5, 20))
    assert isinstance(decoder, NumbaInt8Decoder) and torch.equal(read(decoder, ids), read(Int8Decoder(model), ids))


@pytest.mark.parametrize("stochastic", [False, True])
def test_stochastic_rounding_keeps_changes_below_half_a_level(stochastic):
    """All weights of an output move in one direction, as in a short finetuning; rounding to the nearest undoes it."""
    torch.manual_seed(0)
    before = torch.randint(-127, 128, (8, 512)).float()
    before[:, 0] = 127
    after = before + 0.3 * (before.abs() < 127)
    x = torch.ones(1, 512)
    moved = Int8Linear(after, None, stochastic=stochastic)(x) - Int8Linear(before, None, stochastic=stochastic)(x)
    exact = (after - before) @ x.T
    if stochastic:
        torch.testing.assert_close(moved.T.float(), exact, rtol=0.4, atol=0)
        torch.testing.assert_close(moved.mean().float(), exact.mean(), rtol=0.1, atol=0)
    else:
        assert not moved.any()


def test_stochastic_rounding_is_the_same_every_time_and_exact_for_integers():
    torch.manual_seed(0)
    values = torch.randn(3, 50, dtype=torch.float64)
    found, scale = quantize_rows(values, stochastic=True)
    assert torch.equal(found, quantize_rows(values, stochastic=True)[0]) and found.abs().max() == 127
    assert ((found - values / scale).abs() < 1).all() and not torch.equal(found, quantize_rows(values)[0])
    integers = torch.cat([torch.tensor([[127.0]] * 3), torch.randint(-127, 128, (3, 49))], 1)
    assert torch.equal(quantize_rows(integers, stochastic=True)[0], integers)


def test_a_damaged_layer_is_noticed(model):
    broken = Int8Decoder(model)
    broken.layers[0].down.weight_scale.mul_(3)
    ids = torch.randint(3, model.config.vocab_size, (6, 20)).tolist()
    assert int8_divergence(model, broken, ids) > 10 * int8_divergence(model, Int8Decoder(model), ids)


def test_long_rows_of_wide_heads_stay_near(wide):
    ids = torch.randint(0, 500, (2, 300))
    with torch.inference_mode():
        expected = torch.log_softmax(wide(input_ids=ids).logits.double(), 2)
    found = torch.log_softmax(read(Int8Decoder(wide), ids).double(), 2)
    nats = (expected.exp() * (expected - found)).sum(2)
    assert nats[:, 200:].mean() < 2 * nats[:, :100].mean() < 2 * MAX_DIVERGENCE


@pytest.mark.parametrize("kind", [Int8Decoder, NumbaInt8Decoder])
def test_logits_do_not_depend_on_the_batch_or_threads(kind, wide):
    decoder, ids = kind(wide), torch.randint(0, 500, (13, 40))
    together = read(decoder, ids)
    assert torch.equal(read(decoder, ids[4:5]), together[4:5])
    try:
        devices.prepare(2, 0)
        assert torch.equal(read(decoder, ids), together)
    finally:
        devices.prepare(1, 0)


def test_the_compiled_decoder_computes_the_same(model, wide):
    for network, positions in ((model, 20), (wide, 140)):  # more positions than attention takes at once
        plain, ours = Int8Decoder(network), create_int8_decoder(network)
        assert isinstance(ours, NumbaInt8Decoder)
        ids = torch.randint(0, network.config.vocab_size, (5, positions))
        assert torch.equal(read(ours, ids), read(plain, ids))


@pytest.mark.parametrize("kind", [Int8Decoder, NumbaInt8Decoder])
def test_slots_are_reused_as_rows_finish(kind, wide):
    """Rows of several lengths begin at any time, in slots that others have left."""
    decoder, ids, rng = kind(wide), torch.randint(0, 500, (9, 90)), np.random.default_rng(0)
    expected, cache, lengths = read(Int8Decoder(wide), ids), decoder.empty_cache(3, 90), rng.integers(1, 90, 9)
    waiting, held, positions, seen = list(range(9)), [-1] * 3, [0] * 3, 0
    with torch.inference_mode():
        while waiting or any(row >= 0 for row in held):
            for slot in range(3):
                if held[slot] < 0 and waiting and rng.random() < 0.3:
                    held[slot], positions[slot] = waiting.pop(), 0
            slots = torch.tensor([slot for slot in (2, 0, 1) if held[slot] >= 0], dtype=torch.long)
            if not len(slots):
                continue
            rows, at = torch.tensor(held)[slots], torch.tensor(positions)[slots]
            found = decoder.logits(decoder.step(ids[rows, at], at, cache, slots))
            assert torch.equal(found, expected[rows, at])
            for slot in slots.tolist():
                positions[slot], seen = positions[slot] + 1, seen + 1
                if positions[slot] == lengths[held[slot]]:
                    held[slot] = -1
    assert seen == lengths.sum()


def test_sums_in_attention_are_exact(wide, monkeypatch):
    """Whatever order they are taken in: float64 gives the same."""
    decoder, ids = Int8Decoder(wide), torch.randint(0, 500, (3, 50))
    expected, product = read(decoder, ids), torch.bmm

    def reversed_sums(left, right):
        return product(left.double().flip(2), right.double().flip(1)).float()

    monkeypatch.setattr(torch, "bmm", reversed_sums)
    assert torch.equal(read(decoder, ids), expected)


def test_rows_do_not_depend_on_the_batch(folder, model):
    ends = boundary_tokens(model.config, load_tokenizer(str(folder)), "")

    def rows(batch_size, numbers, prompts=None, **settings):
        chosen = Sampling(max_tokens=24, batch_size=batch_size, precision="int8", **settings)
        sampler = Sampler(model, chosen, start=ends[0], end=ends[1], forbidden=[3])
        return {row.number: (row.tokens, row.stopped) for row in sampler.sample(numbers, prompts)}

    known = rows(40, range(40))
    assert rows(7, range(40)) == known and rows(1, [5]) == {5: known[5]}
    assert len({tuple(tokens) for tokens, _ in known.values()}) > 30
    prompts = [[5, 6, 7][: i % 4] for i in range(12)]
    after = rows(12, range(12), prompts, top_p=0.9)
    assert rows(2, range(12), prompts, top_p=0.9) == after
    assert after[0] == rows(1, [0], top_p=0.9)[0]


def test_rows_follow_the_probabilities(wide):
    """First tokens of many rows against the logits that they are drawn from."""
    sampler = Sampler(wide, Sampling(max_tokens=1, batch_size=500, precision="int8"), start=0, end=499)
    first = [(row.tokens or [499])[0] for row in sampler.sample(range(4000))]
    expected = torch.softmax(read(Int8Decoder(wide), torch.tensor([[0]]))[0, 0].double(), 0).numpy()
    common = expected > 0.002
    counts = np.bincount(first, minlength=500)[common]
    both = np.append(counts, 4000 - counts.sum()), 4000 * np.append(expected[common], expected[~common].sum())
    assert common.sum() > 20 and chisquare(*both).pvalue > 0.01


def test_finetuning_records_whether_int8_is_accurate_enough(folder):
    assert read_record_file(folder / "config.json").int8


def test_other_architectures_stay_in_float32():
    config = LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    model = LlamaForCausalLM(config).eval()
    assert calibrate_int8(model, [[1, 2, 3]]) == (None, float("inf"))
    with pytest.raises(GendistError, match="'llama' cannot be run in int8; set precision"):
        Sampler(model, Sampling(precision="int8"), start=1, end=2)


NUMBERS = """
import hashlib
import sys
import numpy as np
from gendist.nn.numba_math import njit_fastmath, exp32
from gendist.nn import int8_decode_attention, int8_kernels
if "after" in sys.argv:  # as where a process that scores has generated before
    njit_fastmath(lambda x: exp32(x) + exp32(-x))(np.float32(1))
seen = hashlib.sha256()
for number in (np.float32, np.float64):
    rng = np.random.default_rng(0)
    products = rng.standard_normal((9, 84)).astype(np.float32)
    x, addend, weight = rng.standard_normal((9, 84)).astype(number), *rng.random((2, 84)).astype(number)
    codes, scales, output = np.zeros((9, 84), np.uint8), rng.random(9).astype(number), np.empty((9, 84), number)
    largest = np.empty(9, np.int64), np.empty(9, number)
    for replace in (True, False):
        int8_kernels.add_and_normalize(x, products, addend, weight, addend, 1e-12, replace, codes, scales, *largest)
        seen.update(x.tobytes() + codes.tobytes() + scales.tobytes())
    int8_kernels.gelu(products, addend, output, codes, scales, *largest)
    seen.update(output.tobytes() + codes.tobytes() + scales.tobytes() + largest[1].tobytes())
past = np.zeros((9, 2, 7, 4, 32), np.int8), np.zeros((9, 2, 7, 32, 4), np.int8), np.zeros((9, 2, 2, 7, 32))
slots = np.arange(9)
read = np.zeros((9, 28), np.uint8)
for at in range(40):
    where = slots, np.full(9, at)
    int8_decode_attention.attend(np.roll(products, at, 1), addend, *past, *where, 2047, 65536, read, scales, *largest)
    seen.update(read.tobytes() + scales.tobytes())
print(seen.hexdigest())
"""


def test_compiled_results_do_not_depend_on_processor_or_cache(tmp_path):
    """A processor of the oldest kind, one like this, code that an earlier process compiled, a loose caller before."""
    found = []
    for name, cache, *more in (("generic", "old"), ("", "new"), ("", "new"), ("", "loose", "after")):
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / cache), "NUMBA_CPU_NAME": name}
        done = subprocess.run(
            [sys.executable, "-c", NUMBERS, *more], capture_output=True, text=True, check=True, env=environment
        )
        found.append(done.stdout)
    assert len(found) == 4 and len(set(found)) == 1
