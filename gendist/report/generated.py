"""Generated rows for Tables 3 and 4: reading and drawing them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gendist.errors import GendistError
from gendist.logits.files import read_logits
from gendist.synthetic.pool import Pool


@dataclass(frozen=True)
class Generated:
    """The files of one dataset's pool of generated rows."""

    train: Path
    """The real training rows."""
    shards: Sequence[Path]
    """Shards of generated rows."""
    logits: Sequence[Path] = ()
    """The teacher's logits for the same rows (Table 3 alone needs them)."""
    rows: int | None = None
    """Rows of the pool that the study uses; None for all that the shards hold."""


def generated_by_dataset(
    counts: Mapping[str, int], shard_rows: int, train: Sequence[str], shards: Sequence[str], logits: Sequence[str]
) -> dict[str, Generated]:
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
        found[dataset] = Generated(
            Path(texts), [Path(p) for p in shards[first:last]], [Path(p) for p in logits[first:last]], count
        )
        first = last
    return found


def draw(pool: Pool, k: int, seed: int) -> list[tuple[int, str]]:
    """Return k random (row, text) by row number, or all if there are fewer."""
    chosen = np.random.default_rng(seed).choice(len(pool.rows), min(k, len(pool.rows)), replace=False)
    return [(int(pool.rows[i]), pool.texts[i]) for i in sorted(chosen)]


def read_pool_logits(files: Sequence[Path], rows: Sequence[int]) -> np.ndarray:
    """Return the teacher's logits of the given rows, (rows, classes).

    Raises:
        GendistError: if a file is missing or damaged, or a row is in none of them.
    """
    keys, logits = read_logits(files, "row")
    place = {int(key): i for i, key in enumerate(keys)}
    missing = sorted(set(rows) - set(place))
    if missing:
        raise GendistError(f"{files[0]}: generated row {missing[0]} has no logits")
    return logits[[place[row] for row in rows]]
