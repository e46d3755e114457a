"""Products of int8 weights are exact integers, whichever instructions the processor has."""

import pytest
import torch

from gendist.nn import int8_products
from gendist.nn.int8_linear import Int8Linear
from gendist.nn.int8_products import FloatProducts, PackedProducts, PairedProducts, create_int8_products, split_pairs

needs_pairs = pytest.mark.skipif(
    not int8_products.has_saturating_int8(), reason="this processor has no int8 products, or none that are exact"
)

needs_vnni = pytest.mark.skipif(not int8_products.has_vnni(), reason="this processor has no VNNI")


def weights_and_codes(inputs, outputs=50, rows=70):
    """Weights and inputs, some of them the largest that there can be."""
    generator = torch.Generator().manual_seed(inputs)
    weights = (37 * torch.randn(outputs, inputs, generator=generator)).round().clamp(-127, 127)
    weights[:2], weights[2, ::2] = torch.tensor([[127.0], [-127.0]]), -127
    codes = torch.randint(0, 256, (rows, inputs), generator=generator, dtype=torch.uint8)
    codes[:3] = torch.tensor([[255], [0], [1]])
    return weights, codes


@pytest.mark.parametrize("zero_point", [0, 128])
@pytest.mark.parametrize("inputs", [16, 384, 1028])
@pytest.mark.parametrize(
    "kind", [pytest.param("pairs", marks=needs_pairs), pytest.param("vnni", marks=needs_vnni), "float", "chunks"]
)
def test_products_are_exact(kind, inputs, zero_point):
    weights, codes = weights_and_codes(inputs)
    if kind in ("float", "pairs") and inputs > 500:  # these are for layers whose sums all fit in float32
        weights = (weights / 4).round()
    scales = torch.linspace(0.001, 0.1, len(weights))
    exact = ((codes.double() - zero_point) @ weights.double().t()).float() * scales
    largest = max(zero_point, 255 - zero_point)
    products = {
        "pairs": lambda: PairedProducts(weights, scales),
        "vnni": lambda: PackedProducts(weights, scales),
        "float": lambda: FloatProducts(weights, scales, largest, chunked=False),
        "chunks": lambda: FloatProducts(weights, scales, largest, chunked=True),
    }[kind]()
    assert torch.equal(products(codes, zero_point), exact)
    assert torch.equal(products(codes[7:8], zero_point), exact[7:8])


@needs_pairs
@pytest.mark.parametrize("inputs", [64, 384])
def test_pairs_of_large_weights_do_not_saturate(inputs):
    """Without the split they would: their products exceed 16 bits."""
    weights, codes = weights_and_codes(inputs)
    exact = (codes.double() - 128) @ weights.double().t()
    ones = torch.ones(len(weights))
    assert torch.equal(PairedProducts(weights, ones)(codes, 128).double(), exact)
    if not int8_products.has_vnni():
        assert not torch.equal(PackedProducts(weights, ones)(codes, 128).double(), exact)


def test_pairs_are_limited_and_lose_nothing():
    weights = torch.tensor([[127, 127, 100, 29, -127, -2, 127, -127], [64, 64, -65, -64, 0, 0, 5, -128 + 1]])
    limited, rest = split_pairs(weights)
    assert torch.equal(limited + rest, weights)
    # Of each pair that may saturate, the larger weight is cut. Products of different signs cancel.
    assert rest.tolist() == [[126, 0, 1, 0, -1, 0, 0, 0], [0, 0, -1, 0, 0, 0, 0, 0]]


def test_layers_whose_sums_exceed_float32_are_multiplied_in_chunks(monkeypatch):
    monkeypatch.setattr(int8_products, "has_vnni", lambda: False)
    scales = torch.ones(2)
    huge = create_int8_products(torch.full((2, 2048), 127), scales, 128)
    assert isinstance(huge, FloatProducts) and huge.chunk < 2048
    odd = create_int8_products(torch.full((2, 30), 127), scales, 128)
    assert isinstance(odd, FloatProducts) and odd.chunk == 30


@pytest.mark.parametrize("inputs", [16, 768, 3072])
def test_layers_are_the_same_on_every_processor(inputs, monkeypatch):
    torch.manual_seed(0)
    layer = torch.nn.Linear(inputs, 50)
    x = 10 * torch.randn(33, inputs, dtype=torch.float64)
    x[0] = x[0].abs().max()  # the largest sums that there can be
    fast = Int8Linear(layer.weight, layer.bias)
    for name in ("has_vnni", "has_saturating_int8"):
        monkeypatch.setattr(int8_products, name, lambda: False)
    plain = Int8Linear(layer.weight, layer.bias)
    assert isinstance(plain.integer_products, FloatProducts)
    assert torch.equal(fast(x), plain(x))
