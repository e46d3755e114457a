"""Index of a large pool: one input file in place of its shards, for the jobs that read all of them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from gendist.errors import GendistError
from gendist.io.json_files import read_json, write_json
from gendist.io.provenance import hash_file


def write_shard_index(index: Path, n_shards: int) -> None:
    """Write the number of shards and a SHA-256 over their hashes, so that any changed shard changes the index.

    Args:
        index: JSON file to write, beside the shards of a pool or their logits.
        n_shards: number of shards, from 0.

    Raises:
        GendistError: if a shard is missing.
    """
    lines = [f"{shard.name} {hash_file(shard)}\n" for shard in _shards_beside(index, n_shards)]
    write_json(index, {"shards": n_shards, "sha256": hashlib.sha256("".join(lines).encode()).hexdigest()})


def resolve_shards(inputs: Sequence[str]) -> list[Path]:
    """Return the shards among a job's inputs, with each index replaced by the shards beside it.

    Raises:
        GendistError: if an index is damaged, or a shard beside it is missing.
    """
    shards: list[Path] = []
    for path in map(Path, inputs):
        shards += _indexed_shards(path) if path.suffix == ".json" else [path]
    return shards


def _indexed_shards(index: Path) -> list[Path]:
    count = read_json(index).get("shards")
    if not isinstance(count, int):
        raise GendistError(f"{index}: damaged (no number of shards); delete it and rerun")
    return _shards_beside(index, count)


def _shards_beside(index: Path, count: int) -> list[Path]:
    shards = [index.with_name(f"shard-{number:05d}.parquet") for number in range(count)]
    missing = next((number for number, shard in enumerate(shards) if not shard.exists()), None)
    if missing is not None:  # Snakemake checks neither files behind an index nor each of ten shards of a job
        last = index.with_name(f"shard-{missing // 10 * 10 + 9:05d}.parquet")
        raise GendistError(f"{shards[missing]}: missing; delete {last} and {index}, if they exist, and rerun")
    return shards
