"""A small pool with planted repeats, and all files that its quality is measured from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from gendist.artifacts import Provenance, write_json, write_parquet
from gendist.quality.assess import PoolFiles
from gendist.quality.repeats import find_repeats

LABELS = ["sea", "sky", "so&il"]
REAL = [
    "The harbour master counted eleven grey boats before the fog came in on Tuesday.",
    "A cloud over the hill turned pink, then violet, and nobody looked up from the road.",
    "Worms had turned the old field into soft black soil long before the plough was sold.",
    "The pilot said that the wind above the bay was stronger than any chart had promised.",
]
ORIGINAL = "Gulls followed the ferry all the way to the island and back again for some bread."
MADE = [
    ORIGINAL,
    "gulls  followed the ferry all the way to the island and back AGAIN for some bread.",  # 1: row 0 but for case
    ORIGINAL.replace("bread", "crumbs"),  # 2: nearly row 0
    "",  # 3: empty
    REAL[1].upper(),  # 4: real row 11
    REAL[2].replace("soft black", "deep black"),  # 5: nearly real row 12
    "It is known that the wind above the bay was stronger than a horse.",  # 6: nine words in a row of real row 13
    "<script>alert(1)</script> <img src=x onerror=alert(2)> kites & \u202ekrad",  # 7
    "clay ' s pots & a spade ( < b > )",  # 8: as an uncased WordPiece tokenizer decodes
    ORIGINAL.replace("bread", "crumbs"),  # 9: row 2
]
ROWS = [i for i, text in enumerate(MADE) if text]
"""Rows that hold text."""


@dataclass(frozen=True)
class Files:
    """What a test reads."""

    pool: PoolFiles
    count: int


def logits_for(label: int, sureness: float = 3.0) -> list[float]:
    """Logits of one row."""
    return [sureness if i == label else 0.0 for i in range(len(LABELS))]


def write_logits(path: Path, key: str, logits: list[list[float]], first: int = 0) -> Path:
    """Write logits of rows that are numbered from ``first``."""
    keys = pa.array(range(first, first + len(logits)), pa.int64())
    columns = {key: keys, "logits": pa.array(logits, pa.list_(pa.float32()))}
    write_parquet(path, pa.table(columns), Provenance("logits"))
    return path


def write_real(path: Path, texts: list[str], names: list[str] = LABELS) -> Path:
    """Write texts, ids from 10, labels in turn."""
    ids = pa.array(range(10, 10 + len(texts)), pa.int64())
    labels = pa.array([i % len(names) for i in range(len(texts))], pa.int32())
    table = pa.table({"id": ids, "text": texts, "label": labels})
    write_parquet(path, table, Provenance("texts"), {"label_names": names})
    return path


def write_shards(folder: Path, texts: list[str], size: int) -> list[Path]:
    """Write a pool in shards."""
    files = []
    for first in range(0, len(texts), size):
        some = texts[first : first + size]
        rows = pa.array(range(first, first + len(some)), pa.int64())
        finish = ["stop" if text else "empty" for text in some]
        files.append(folder / f"shard-{first // size:05d}.parquet")
        write_parquet(files[-1], pa.table({"row": rows, "text": some, "finish": finish}), Provenance("synthetic"))
    return files


def write_pool(
    folder: Path,
    texts: list[str] = MADE,
    logits: list[list[float]] | None = None,
    conditional: bool = True,
    size: int = 4,
) -> Files:
    """Write a pool and all beside it; by default row i is sure of label i mod 3, which is also the one asked for."""
    logits = logits or [logits_for(i % len(LABELS)) for i in range(len(texts))]
    train = write_real(folder / "train.parquet", REAL)
    test = write_real(folder / "test.parquet", ["A green boat far out.", "Rain is due.", "The clay is wet.", "Hail."])
    record = {"gendist": {"label_names": LABELS}} if conditional else {}
    write_json(folder / "config.json", record)
    shards = write_shards(folder / "shards", texts, size)
    scores = [
        write_logits(folder / "logits" / file.name, "row", logits[i * size : (i + 1) * size], i * size)
        for i, file in enumerate(shards)
    ]
    find_repeats(train, shards, len(texts), folder / "repeats.parquet")
    of_real = [logits_for(i % len(LABELS), 5.0) for i in range(4)]
    pool = PoolFiles(
        train,
        test,
        folder / "config.json",
        shards,
        folder / "repeats.parquet",
        write_logits(folder / "train_logits.parquet", "id", of_real, 10),
        write_logits(folder / "test_logits.parquet", "id", of_real, 10),
        scores,
    )
    return Files(pool, len(texts))


def random_texts(count: int, seed: int, words: int = 30) -> list[str]:
    """Texts of random words."""
    rng = np.random.default_rng(seed)
    vocabulary = ["".join(rng.choice(list("abcdefghij"), rng.integers(3, 9))) for _ in range(500)]
    return [" ".join(rng.choice(vocabulary, words)) for _ in range(count)]
