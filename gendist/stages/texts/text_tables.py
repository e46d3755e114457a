"""Read and validate the Parquet files of the texts stage."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gendist.errors import GendistError
from gendist.io.parquet import read_metadata, read_parquet


@dataclass(frozen=True)
class Texts:
    """Labelled real rows."""

    ids: np.ndarray
    """(rows,) int64, unique."""
    texts: list[str]
    labels: np.ndarray
    """(rows,) int64, each an index into ``label_names``."""
    label_names: list[str]


def read_texts(path: Path) -> Texts:
    """Read ``texts/train.parquet`` or ``texts/test.parquet``.

    Raises:
        GendistError: if the file is missing, damaged or empty, an id is duplicated, or a label has no name.
    """
    table = read_parquet(path, {"id": "integers", "text": "strings", "label": "integers"})
    names = read_metadata(path).get("label_names")
    if not isinstance(names, list) or not names:
        raise GendistError(f"{path}: no label_names in the file's metadata")
    if table.num_rows == 0:
        raise GendistError(f"{path}: no rows")
    ids, labels = table["id"].to_numpy(), table["label"].to_numpy()
    require_unique(ids, "id", path)
    if labels.min() < 0 or labels.max() >= len(names):
        wrong = int(np.flatnonzero((labels < 0) | (labels >= len(names)))[0])
        raise GendistError(f"{path}: row {wrong} has label {labels[wrong]}; label_names has {len(names)} entries")
    return Texts(ids, table["text"].to_pylist(), labels.astype(np.int64), [str(name) for name in names])


def rows_by_label(texts: Texts, path: Path) -> list[np.ndarray]:
    """Return the row indices of each label, ascending, in the order of ``label_names``.

    Args:
        texts: the rows.
        path: their file, for the error.

    Raises:
        GendistError: if a label has no row.
    """
    rows = [np.flatnonzero(texts.labels == label) for label in range(len(texts.label_names))]
    for name, found in zip(texts.label_names, rows, strict=True):
        if not len(found):
            raise GendistError(f"{path}: no row has label '{name}'; prompts need at least one of each label")
    return rows


def read_unlabelled(path: Path) -> tuple[np.ndarray, list[str]]:
    """Read ``texts/unlabelled.parquet``: ids (rows,) int64, unique, and texts.

    Raises:
        GendistError: if the file is missing, damaged or empty, or an id is duplicated.
    """
    table = read_parquet(path, {"id": "integers", "text": "strings"})
    if table.num_rows == 0:
        raise GendistError(f"{path}: no rows")
    ids = table["id"].to_numpy()
    require_unique(ids, "id", path)
    return ids, table["text"].to_pylist()


def require_unique(keys: np.ndarray, name: str, path: Path) -> None:
    """Require unique keys (rows,).

    Raises:
        GendistError: naming the file and the first duplicate.
    """
    values, counts = np.unique(keys, return_counts=True)
    if (counts > 1).any():
        raise GendistError(f"{path}: {name} {values[counts > 1][0]} occurs twice")
