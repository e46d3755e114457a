"""Models and sizes that ``tools.bench.gpu`` measures."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel

from tools.bench.bench_inputs import bert, gpt2
from tools.bench.roofline import REPEATS, SIDE, SIZE


@dataclass(frozen=True)
class Shapes:
    """Models and sizes to measure."""

    generator: Callable[[], Any] = lambda: gpt2("medium")
    teacher: Callable[[], Any] = lambda: bert("large")
    rows: int = 12_288
    """Rows generated in a measurement."""
    pool_rows: int = 25_000
    """Rows of the pool whose time is a goal."""
    tokens: int = 100
    slots: tuple[int, ...] = (1024, 2048, 3072)
    lengths: tuple[int, ...] = (32, 64, 112)
    scored: int = 26_000
    windows: int = 24
    bounds: tuple[int, int, int] = (SIZE, SIDE, REPEATS)


def _small_gpt2() -> Any:
    return GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=99, n_positions=128)).eval()


def _small_bert() -> Any:
    config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    return BertForSequenceClassification(config).eval()


SMALL = Shapes(_small_gpt2, _small_bert, 24, 48, 12, (4, 8), (16, 32), 30, 2, (2**16, 64, 2))
