"""Labelled texts and logits, read and checked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gendist.artifacts import read_metadata, read_parquet
from gendist.errors import GendistError


@dataclass(frozen=True)
class Texts:
    """A texts file in memory."""

    ids: np.ndarray
    """(rows,) int64, unique."""
    texts: list[str]
    labels: np.ndarray
    """(rows,) int64, each an index into ``label_names``."""
    label_names: list[str]


def read_texts(path: Path) -> Texts:
    """Read ``results/{dataset}/texts/{train,test}.parquet``.

    Raises:
        GendistError: if the file is missing, damaged or empty, or a label has no name.
    """
    table = read_parquet(path, ["id", "text", "label"])
    names = read_metadata(path).get("label_names")
    if not isinstance(names, list) or not names:
        raise GendistError(f"{path}: no label_names in the file's metadata")
    if table.num_rows == 0:
        raise GendistError(f"{path}: holds no rows")
    for column in table.column_names:
        if table[column].null_count:
            raise GendistError(f"{path}: column '{column}' has empty cells")
    ids, labels = table["id"].to_numpy(), table["label"].to_numpy()
    _unique(ids, "id", path)
    if labels.min() < 0 or labels.max() >= len(names):
        wrong = int(np.flatnonzero((labels < 0) | (labels >= len(names)))[0])
        raise GendistError(f"{path}: row {wrong} has label {labels[wrong]}; label_names has {len(names)} entries")
    return Texts(ids, table["text"].to_pylist(), labels.astype(np.int64), [str(name) for name in names])


def read_logits(path: Path, key: Literal["id", "row"]) -> tuple[np.ndarray, np.ndarray]:
    """Read a logits file.

    Args:
        path: Parquet with ``key`` and ``logits``, a list of equal length in every row.
        key: ``id`` for real texts, ``row`` for synthetic ones.

    Returns:
        The keys (rows,) int64 and the logits (rows, classes) float32, in the file's order.

    Raises:
        GendistError: if the file is missing, damaged, ragged, or holds a NaN or an infinity.
    """
    table = read_parquet(path, [key, "logits"])
    column = table["logits"].combine_chunks()
    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        raise GendistError(f"{path}: column 'logits' is {kind}; a list of numbers is needed")
    widths = set(pc.list_value_length(column).to_pylist())
    if len(widths) > 1 or None in widths or 0 in widths:
        raise GendistError(f"{path}: the rows of 'logits' differ in length or are empty")
    logits = np.asarray(pc.list_flatten(column).to_numpy(zero_copy_only=False), dtype=np.float32)
    logits = logits.reshape(table.num_rows, widths.pop() if widths else 0)
    if not np.isfinite(logits).all():
        raise GendistError(f"{path}: 'logits' holds a value that is no finite number")
    keys = table[key].to_numpy()
    _unique(keys, key, path)
    return keys, logits


def _unique(keys: np.ndarray, name: str, path: Path) -> None:
    values, counts = np.unique(keys, return_counts=True)
    if (counts > 1).any():
        raise GendistError(f"{path}: {name} {values[counts > 1][0]} occurs twice")
