"""The texts of the contract, read back."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gendist.artifacts import read_metadata, read_parquet


@dataclass(frozen=True)
class Texts:
    """Real rows: ``ids`` (rows,), ``texts``, gold ``labels`` (rows,) and the class names."""

    ids: np.ndarray
    texts: list[str]
    labels: np.ndarray
    label_names: list[str]


def read_texts(path: Path) -> Texts:
    """Read ``texts/train.parquet`` or ``texts/test.parquet``."""
    table = read_parquet(path, ["id", "text", "label"])
    return Texts(
        table["id"].to_numpy(),
        table["text"].to_pylist(),
        table["label"].to_numpy().astype(np.int64),
        read_metadata(path)["label_names"],
    )
