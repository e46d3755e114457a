"""Generated rows for Tables 3 and 4: reading and drawing them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gendist.errors import GendistError
from gendist.stages.logits.files import logits_by_file
from gendist.stages.synthetic.pool import rows_with_text, texts_of


@dataclass(frozen=True)
class GeneratedPool:
    """The files of one dataset's pool of generated rows."""

    train: Path
    """The real training rows."""
    shards: Sequence[Path]
    """Shards of generated rows."""
    logits: Sequence[Path] = ()
    """The teacher's logits for the same rows (Table 3 alone needs them)."""
    rows: int | None = None
    """Rows of the pool that the study uses; None for all that the shards hold."""


def pools_by_dataset(
    counts: Mapping[str, int], shard_rows: int, train: Sequence[str], shards: Sequence[str], logits: Sequence[str]
) -> dict[str, GeneratedPool]:
    """Share flat lists of files out to their datasets.

    Args:
        counts: rows of the pool that each dataset uses, in the order of the files.
        shard_rows: rows in a shard.
        train: one texts file per dataset.
        shards: each dataset's shards, one dataset after the other.
        logits: the same for the logits files, or empty.
    """
    found, first = {}, 0
    for (dataset, count), texts in zip(counts.items(), train, strict=True):
        last = first - (-count // shard_rows)
        found[dataset] = GeneratedPool(
            Path(texts), [Path(p) for p in shards[first:last]], [Path(p) for p in logits[first:last]], count
        )
        first = last
    return found


def sample_rows(generated: GeneratedPool, k: int, seed: int) -> tuple[list[tuple[int, str]], int]:
    """Return k random (row, text) by row number, or all if there are fewer, and how many rows hold text.

    Raises:
        GendistError: if a shard is missing or damaged, or no row holds text.
    """
    rows = rows_with_text(generated.shards, generated.rows)
    chosen = np.random.default_rng(seed).choice(len(rows), min(k, len(rows)), replace=False)
    drawn = [int(rows[i]) for i in sorted(chosen)]
    return list(zip(drawn, texts_of(generated.shards, drawn), strict=True)), len(rows)


def read_pool_logits(files: Sequence[Path], rows: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return the teacher's logits of the given rows, which are different ones: (rows, classes).

    Raises:
        GendistError: if a file is missing or damaged, or a row is in none of them or in two.
    """
    wanted = np.asarray(rows)
    order = np.argsort(wanted)
    ascending = wanted[order]
    found = np.zeros(len(wanted), dtype=bool)
    logits = np.empty((len(wanted), 0), np.float32)
    for file, keys, scores in logits_by_file(files, "row"):
        if not logits.shape[1]:
            logits = np.empty((len(wanted), scores.shape[1]), np.float32)
        place = np.searchsorted(ascending, keys)
        asked = place < len(ascending)
        asked[asked] = ascending[place[asked]] == keys[asked]
        targets = order[place[asked]]
        if found[targets].any():
            raise GendistError(f"{file}: row {keys[asked][found[targets]][0]} occurs twice")
        found[targets], logits[targets] = True, scores[asked]
    if not found.all():
        raise GendistError(f"{files[0]}: generated row {wanted[~found].min()} has no logits")
    return logits
