"""The Triton kernels of a decode step, in Triton's interpreter, against their plain versions."""

import importlib
import sys

import numpy as np
import pytest
import torch

from gendist.nn.transformer_parts import Norm
from gendist.stages import synthetic
from gendist.stages.synthetic import decode_kernels
from gendist.stages.synthetic.logits_filter import vocabulary_blocks
from gendist.stages.synthetic.philox import gumbel_noise

pytestmark = pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
NAME = "gendist.stages.synthetic.triton_kernels"


@pytest.fixture(scope="module")
def kernels():
    """The kernels as Python functions on tensors of the CPU."""
    pytest.importorskip("triton", reason="Triton comes with PyTorch for GPUs only")
    compiled = {name: sys.modules.pop(name) for name in triton_modules()}  # PyTorch has imported these without it
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        yield importlib.import_module(NAME)
    for name in triton_modules():
        del sys.modules[name]
    sys.modules.update(compiled)
    del synthetic.triton_kernels


def triton_modules() -> list[str]:
    """Names of the imported modules of Triton and of the kernels, but for C extensions, which load once."""
    return [name for name in sys.modules if name == NAME or (f"{name}.".startswith("triton.") and "._C" not in name)]


@pytest.mark.parametrize("width", [8, 12])
def test_attention_is_that_of_the_plain_version(kernels, width):
    torch.manual_seed(0)
    cache, positions = torch.randn(2, 6, 3, 50, width), torch.tensor([0, 1, 31, 32, 33, 49])
    ours, plain = cache.clone(), cache.clone()
    qkv = torch.randn(6, 9 * width)
    found = kernels.attend(qkv, positions, *ours)
    torch.testing.assert_close(found, decode_kernels.attend(qkv, positions, *plain), rtol=1e-5, atol=1e-6)
    assert torch.equal(ours, plain) and not torch.equal(ours, cache)


def test_later_positions_of_the_cache_have_no_effect(kernels):
    qkv, positions = torch.randn(1, 24), torch.tensor([3])
    found = []
    for stale in (0.0, torch.nan):
        torch.manual_seed(0)
        cache = torch.randn(2, 1, 1, 40, 8)
        cache[:, :, :, 4:] = stale
        found.append(kernels.attend(qkv, positions, *cache))
    assert torch.equal(*found)


@pytest.mark.parametrize("post_norm", [False, True])
@pytest.mark.parametrize("width", [16, 20])
def test_residual_connections_are_those_of_the_plain_version(kernels, width, post_norm):
    torch.manual_seed(0)
    norm = Norm(torch.randn(width), torch.randn(width), 1e-5)
    x, update = torch.randn(5, width), torch.randn(5, width)
    expected = decode_kernels.add_and_normalise(x, update, norm, post_norm=post_norm)
    for found, known in zip(kernels.add_and_normalise(x, update, norm, post_norm=post_norm), expected, strict=True):
        torch.testing.assert_close(found, known, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("vocabulary", "seed"), [(300, 5), (23, 2**63 + 2**31 + 7), (99, 1)])
def test_tokens_are_those_of_the_plain_version(kernels, vocabulary, seed):
    blocks = vocabulary_blocks(vocabulary)
    torch.manual_seed(0)
    numbers = torch.cat([torch.arange(40), torch.tensor([2**31, 2**32 - 1, 2**32, 2**62 + 12345])])
    steps = torch.arange(44) - 3
    scores = 3 * torch.randn(44, blocks[0] * blocks[1] + 8)
    scores[:, vocabulary:] = -torch.inf
    scores[:, 0] = -torch.inf
    found = kernels.draw(scores, numbers, steps, seed=seed, blocks=blocks)
    assert torch.equal(found, decode_kernels.draw(scores, numbers, steps, seed=seed, blocks=blocks))
    assert len(found.unique()) > 10


def test_a_token_of_probability_one_is_drawn(kernels):
    scores = torch.full((3, 100), -torch.inf)
    scores[:, 57] = 0.0
    drawn = kernels.draw(scores, torch.arange(3), torch.zeros(3, dtype=torch.int64), seed=3, blocks=(10, 10))
    assert drawn.tolist() == [57] * 3


def test_noise_follows_the_row_and_its_step(kernels):
    """A uniform distribution is drawn by noise alone."""
    numbers, steps = torch.arange(200), torch.arange(200) % 7
    found = kernels.draw(torch.zeros(200, 100), numbers, steps, seed=9, blocks=(10, 10))
    noise = gumbel_noise(9, numbers.numpy(), steps.numpy(), 20)
    assert np.array_equal(found.numpy(), 10 * noise[:, :10].argmax(1) + noise[:, 10:].argmax(1))
