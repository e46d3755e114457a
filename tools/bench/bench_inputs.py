"""Inputs of the benchmarks: real texts, and untrained models of realistic shapes."""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel

from gendist.config.dataset_settings import Dataset
from gendist.nn import devices
from gendist.stages.texts.prepare_texts import prepare_texts
from gendist.stages.texts.text_tables import Texts, read_texts
from tools.bench.timed_pairs import SkippedError

NEWSBRIEFS = Path(__file__).parents[2] / "data" / "newsbriefs"
CLASSES = 6


def prepared(folder: Path) -> tuple[Path, Path]:
    """Prepare the packaged dataset in a folder; return the files of its training and test rows."""
    settings = Dataset(train=str(NEWSBRIEFS / "train.csv"), test=str(NEWSBRIEFS / "test.csv"))
    train, test = folder / "train.parquet", folder / "test.parquet"
    prepare_texts(settings, train, test)
    return train, test


@cache
def newsbriefs() -> tuple[Texts, Texts]:
    """Return the training and the test rows of the packaged dataset."""
    with tempfile.TemporaryDirectory(prefix="gendist-") as folder:
        train, test = prepared(Path(folder))
        return read_texts(train), read_texts(test)


GPT2: dict[str, dict[str, Any]] = {
    "small": {"n_embd": 768, "n_layer": 12, "n_head": 12},
    "medium": {"n_embd": 1024, "n_layer": 24, "n_head": 16},
}
"""Shapes with 124 M and 355 M weights; the latter is known as 345M (Radford et al. 2019)."""
BERT: dict[str, dict[str, Any]] = {
    "base": {},
    "large": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
}


def gpt2(size: str = "small") -> Any:
    """Return an untrained GPT-2, for timing only."""
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(**GPT2[size])).eval()


def bert(size: str = "base") -> Any:
    """Return an untrained BERT classifier."""
    torch.manual_seed(0)
    config = BertConfig(**BERT[size])
    config.num_labels = CLASSES
    return BertForSequenceClassification(config).eval()


def gpu() -> torch.device:
    """Claim a GPU.

    Raises:
        SkippedError: if none is available.
    """
    if not torch.cuda.is_available():
        raise SkippedError("PyTorch sees no GPU")
    return devices.prepare(1, 0, "gpu")
