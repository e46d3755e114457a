"""The fast ways of training give what the plain ones do."""

import itertools

import numpy as np
import pytest
import torch

from gendist.config.student_settings import Student
from gendist.nn.padding import pad_batch
from gendist.stages.students.adam import Adam
from gendist.stages.students.architectures import build, position_buckets
from gendist.stages.students.architectures import kim as kim_module
from gendist.stages.students.architectures.registry import embed
from gendist.stages.students.piece_ids import PieceIds

# Pieces that come again in a row and in others, a row shorter than any window, and one of the same piece throughout.
ROWS = [[3, 4, 5, 6, 3, 4, 5, 6, 7], [9], [8, 8, 8, 8, 8, 8], [2, 3], [6, 5, 4, 3, 0, 0, 7, 1, 2, 3, 4, 5]]


class PositionedKim(torch.nn.Module):
    """The convolutions of a Kim, with a bias for each bucket of positions."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.embedding, self.convolutions, self.classifier = network.embedding, network.convolutions, network.classifier
        biases = 5 * torch.randn(len(position_buckets.BUCKET_STARTS), self.classifier.in_features)
        self.biases = torch.nn.Parameter(biases)


def kim(filters: int = 7, bias: float = 0.0) -> torch.nn.Module:
    torch.manual_seed(1)
    network = build(torch.randn(20, 12), Student(filters=filters, dropout=0.0), 3)
    with torch.no_grad():
        for convolution in network.convolutions:
            convolution.bias += bias
    return network.train()


def sparse(network: torch.nn.Module, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    biases = getattr(network, "biases", None)
    return kim_module.sparse_max(network.embedding.weight, ids, mask.float(), network.convolutions, biases=biases)


def dense(network: torch.nn.Module, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    biases = getattr(network, "biases", None)
    vectors = embed(network.embedding, ids, mask)
    return kim_module.dense_max(vectors, mask.float(), network.convolutions, biases=biases)


def gradients(network: torch.nn.Module, pooled: torch.Tensor) -> tuple[torch.Tensor, ...]:
    loss = network.classifier(pooled).square().sum() + (pooled * torch.arange(pooled.shape[1])).sum()
    return torch.autograd.grad(loss, list(network.parameters()))


@pytest.mark.parametrize("bias", [0.0, 30.0, -0.5, -100.0])  # all kinds, every filter answers, few do, none does
@pytest.mark.parametrize("rows", [ROWS, ROWS[1:2], ROWS[:1]])
@pytest.mark.parametrize("positioned", [False, True])
def test_maxima_and_their_gradients_are_those_of_the_convolutions(rows, bias, positioned):
    network = PositionedKim(kim(bias=bias)) if positioned else kim(bias=bias)
    ids, mask = pad_batch(rows)
    ids, mask = torch.nn.functional.pad(ids, (0, 3), value=5), torch.nn.functional.pad(mask, (0, 3)).float()
    fast, plain = sparse(network, ids, mask), dense(network, ids, mask)
    torch.testing.assert_close(fast, plain, rtol=1e-5, atol=1e-5)
    assert plain.bool().any() == (bias > -100.0)
    for one, other in zip(gradients(network, fast), gradients(network, plain), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_training_takes_the_fast_way_and_scoring_the_plain_one(monkeypatch):
    network, taken = kim(), []
    for name in ("sparse_max", "dense_max"):
        way = getattr(kim_module, name)
        monkeypatch.setattr(
            kim_module, name, lambda *given, name=name, way=way, **options: taken.append(name) or way(*given, **options)
        )
    ids, mask = pad_batch(ROWS)
    network.train()(ids, mask.float())
    network.eval()(ids, mask.float())
    assert taken == ["sparse_max", "dense_max"]


def test_sixteen_bit_products_change_little():
    network = kim(filters=40)
    ids, mask = pad_batch(ROWS)
    exact = sparse(network, ids, mask)
    with torch.autocast("cpu", torch.bfloat16):
        rough = sparse(network, ids, mask)
    assert rough.dtype == torch.float32 and not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, rtol=0.02, atol=0.1)
    for one, other in zip(gradients(network, rough), gradients(network, exact), strict=True):
        assert one.dtype == torch.float32
        assert (one - other).norm() < 0.1 * other.norm()


def test_threads_change_no_bit_of_a_gradient():
    network = PositionedKim(kim(filters=100))
    rng = np.random.default_rng(0)
    ids, mask = pad_batch([rng.integers(0, 20, n).tolist() for n in rng.integers(1, 90, 32)])
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(gradients(network, sparse(network, ids, mask)))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_adam_is_that_of_torch():
    mine, other = kim(), kim()
    frozen = torch.nn.Parameter(torch.ones(3))  # never has a gradient
    adam = Adam([*mine.parameters(), frozen])
    oracle = torch.optim.Adam([*other.parameters(), frozen], fused=True)
    ids, mask = pad_batch(ROWS)
    for rate in (1e-2, 5e-3, 1e-3, 1e-3):
        for network in (mine, other):
            dense(network, ids, mask).square().sum().backward()
        adam.step(rate)
        for group in oracle.param_groups:
            group["lr"] = rate
        oracle.step()
        oracle.zero_grad()
        assert all(p.grad is None for p in mine.parameters())
    assert frozen.tolist() == [1, 1, 1] and not torch.equal(mine.embedding.weight, kim().embedding.weight)
    for one, two in zip(mine.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_packed_rows_are_padded_as_lists_are():
    pieces = PieceIds.of(ROWS)
    assert pieces.lengths.tolist() == [len(row) for row in ROWS]
    for count in (1, 2, len(ROWS)):
        for texts in itertools.permutations(range(len(ROWS)), count):
            ids, mask = pieces.padded(np.array(texts))
            expected = pad_batch([ROWS[i] for i in texts])
            assert torch.equal(ids, expected[0]) and torch.equal(mask, expected[1].float())
            assert (ids.dtype, mask.dtype) == (torch.int64, torch.float32)
