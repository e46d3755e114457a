"""Read and sample the generated rows of a pool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gendist.errors import GendistError
from gendist.stages.logits.logits_files import iter_logits_files
from gendist.stages.synthetic.pool_reader import row_numbers_with_text, texts_at


@dataclass(frozen=True)
class GeneratedPool:
    """The files of one dataset's pool of generated rows."""

    train: Path
    """The real training rows."""
    shards: Sequence[Path]
    """Shards of generated rows."""
    logits: Sequence[Path] = ()
    """The teacher's logits of the same rows (Table 3 only)."""
    rows: int | None = None
    """Rows of the pool in use; None for all rows of the shards."""


def pools_by_dataset(
    *, counts: Mapping[str, int], shard_rows: int, train: Sequence[str], shards: Sequence[Path], logits: Sequence[Path]
) -> dict[str, GeneratedPool]:
    """Split flat lists of files by dataset.

    Args:
        counts: rows of the pool in use, by dataset, in the order of the files.
        shard_rows: rows per shard.
        train: one texts file per dataset.
        shards: the shards of all datasets, concatenated.
        logits: the logits files in the same order, or empty.
    """
    seen, start = {}, 0
    for (dataset, count), texts in zip(counts.items(), train, strict=True):
        stop = start - (-count // shard_rows)
        seen[dataset] = GeneratedPool(Path(texts), shards[start:stop], logits[start:stop], count)
        start = stop
    return seen


def sample_rows(generated: GeneratedPool, k: int, seed: int) -> tuple[list[tuple[int, str]], int]:
    """Sample rows with text.

    Returns:
        At most k (row number, text), sorted by row number, and the number of rows with text.

    Raises:
        GendistError: if a shard is missing or damaged, or no row has text.
    """
    rows = row_numbers_with_text(generated.shards, generated.rows)
    sampled_indices = np.random.default_rng(seed).choice(len(rows), min(k, len(rows)), replace=False)
    sampled = [int(rows[i]) for i in sorted(sampled_indices)]
    return list(zip(sampled, texts_at(generated.shards, sampled), strict=True)), len(rows)


def read_pool_logits(files: Sequence[Path], rows: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return the teacher's logits of distinct rows, (rows, classes) float32, in the given order.

    Raises:
        GendistError: if a file is missing or damaged, or a row occurs in no file or twice.
    """
    wanted = np.asarray(rows)
    order = np.argsort(wanted)
    ascending = wanted[order]
    seen = np.zeros(len(wanted), dtype=bool)
    logits = np.empty((len(wanted), 0), np.float32)
    for file, keys, scores in iter_logits_files(files, "row"):
        if not logits.shape[1]:
            logits = np.empty((len(wanted), scores.shape[1]), np.float32)
        position = np.searchsorted(ascending, keys)
        matches = position < len(ascending)
        matches[matches] = ascending[position[matches]] == keys[matches]
        targets = order[position[matches]]
        if seen[targets].any():
            raise GendistError(f"{file}: row {keys[matches][seen[targets]][0]} occurs twice")
        seen[targets], logits[targets] = True, scores[matches]
    if not seen.all():
        raise GendistError(f"{files[0]}: generated row {wanted[~seen].min()} has no logits")
    return logits
