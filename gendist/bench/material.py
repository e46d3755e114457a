"""What the benchmarks work on: real texts, and models of the right shape."""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel

from gendist.texts.prepare import prepare_texts
from gendist.texts.settings import Dataset
from gendist.texts.tables import Texts, read_texts

NEWSBRIEFS = Path(__file__).parents[2] / "data" / "newsbriefs"
CLASSES = 6


def prepared(folder: Path) -> tuple[Path, Path]:
    """Prepare the embedded dataset in a folder; return the files of its training and test rows."""
    settings = Dataset(train=str(NEWSBRIEFS / "train.csv"), test=str(NEWSBRIEFS / "test.csv"))
    train, test = folder / "train.parquet", folder / "test.parquet"
    prepare_texts(settings, train, test)
    return train, test


@cache
def newsbriefs() -> tuple[Texts, Texts]:
    """Return the training and the test rows of the embedded dataset."""
    with tempfile.TemporaryDirectory(prefix="gendist-") as folder:
        train, test = prepared(Path(folder))
        return read_texts(train), read_texts(test)


def gpt2() -> Any:
    """Return GPT-2 of 124 M weights, untrained: right for timing, never for text."""
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config()).eval()


def bert_base() -> Any:
    """Return BERT-base with a classifier, untrained."""
    torch.manual_seed(0)
    config = BertConfig()
    config.num_labels = CLASSES
    return BertForSequenceClassification(config).eval()
