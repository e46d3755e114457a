"""A pool of any size without a generator, and what a stage takes to read it.

``python tests/scale_fixtures.py STAGE ROWS SHARD_ROWS`` writes the files of a study of so many synthetic rows with the
project's own writers, runs one stage over them in this process, and prints its peak memory and CPU time as JSON.
"""

import json
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from gendist.artifacts import Provenance, write_json, write_parquet
from gendist.logits.files import logits_column

LABELS = ["sea", "sky", "soil"]
REAL = 600
WORDS = 40
"""Words in a text: about 270 characters."""


@dataclass(frozen=True)
class Files:
    """A study's files as far as the stages read them."""

    folder: Path
    rows: int
    train: Path
    test: Path
    shards: list[Path]
    logits: list[Path]


def texts(count: int, seed: int) -> list[str]:
    """Random texts of a vocabulary in which, as in any language, few words are frequent."""
    rng = np.random.default_rng(seed)
    chosen = np.minimum(rng.zipf(1.3, (count, WORDS)) - 1, rng.integers(0, 5000, (count, WORDS)))
    return [" ".join(row) for row in vocabulary()[chosen]]


@cache
def vocabulary() -> np.ndarray:
    """Five thousand made-up words."""
    rng = np.random.default_rng(0)
    return np.array(["".join(rng.choice(list("abcdefghijklmnop"), 3 + i % 7)) for i in range(5000)])


def write_study(folder: Path, rows: int, shard_rows: int) -> Files:
    """Write real rows and their logits, and a pool with its logits, shard by shard."""
    real = {}
    for name, count, seed in (("train", REAL, 1), ("test", REAL, 2)):
        columns = {"id": pa.array(range(count)), "text": texts(count, seed)}
        columns["label"] = pa.array([i % len(LABELS) for i in range(count)], pa.int32())
        real[name] = folder / f"{name}.parquet"
        write_parquet(real[name], pa.table(columns), Provenance("texts"), {"label_names": LABELS})
        _write_logits(folder / f"{name}-logits.parquet", "id", 0, count)
    shards, logits = [], []
    for shard, first in enumerate(range(0, rows, shard_rows)):
        made = texts(shard_rows, 10 + shard)
        table = {"row": pa.array(range(first, first + shard_rows)), "text": made, "finish": ["stop"] * shard_rows}
        table["n_tokens"] = pa.array([WORDS] * shard_rows, pa.int32())
        shards.append(folder / f"shards/shard-{shard:05d}.parquet")
        logits.append(folder / f"logits/shard-{shard:05d}.parquet")
        write_parquet(shards[-1], pa.table(table), Provenance("synthetic"))
        _write_logits(logits[-1], "row", first, shard_rows)
    return Files(folder, rows, real["train"], real["test"], shards, logits)


def _write_logits(path: Path, key: str, first: int, rows: int) -> None:
    scores = np.random.default_rng(first).normal(size=(rows, len(LABELS))).astype(np.float32)
    table = pa.table({key: pa.array(range(first, first + rows)), "logits": logits_column(scores)})
    write_parquet(path, table, Provenance("logits"), {"label_names": LABELS})


def student(files: Files) -> None:
    """Train a small student on all rows, a few steps long."""
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers

    from gendist.students.data import Synthetic
    from gendist.students.run import distil_seeds, student_row
    from gendist.students.settings import Student, Training

    folder = files.folder / "embeddings"
    folder.mkdir()
    words = sorted({word for text in texts(2000, 10) for word in text.split()})
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["[UNK]", *words])}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    save_file({"vectors": torch.randn(len(words) + 1, 8)}, folder / "vectors.safetensors")
    distil_seeds(
        {0: files.folder / "run"},
        student_row("toy", "kim", "gendist", "t.g.s.default", files.rows, 0),
        files.train,
        files.test,
        folder,
        Student(filters=4),
        Training(max_steps=20, min_steps=1),
        files.folder / "train-logits.parquet",
        Synthetic(files.shards, files.logits, files.rows),
    )


def repeats(files: Files) -> None:
    """Find what repeats what."""
    from gendist.quality.repeats import find_repeats

    find_repeats(files.train, files.shards, files.rows, files.folder / "repeats.parquet")


def quality(files: Files) -> None:
    """Measure the pool; what repeats what is made up, so that finding it is not part of the measurement."""
    from gendist.quality.assess import PoolFiles, PoolNames, assess_pool
    from gendist.quality.marks import SCHEMA

    nothing = pa.nulls(files.rows, pa.int64())
    columns = dict.fromkeys(SCHEMA.names, nothing) | {"row": pa.array(range(files.rows))}
    zeros = np.zeros(files.rows, np.int64)
    columns |= {"longest_run": pa.array(zeros), "nearest_id": pa.array(zeros), "nearest_similarity": pa.array(zeros)}
    write_parquet(files.folder / "repeats.parquet", pa.table(columns).cast(SCHEMA), Provenance("quality"))
    write_json(files.folder / "config.json", {})
    place = files.folder.joinpath
    pool = PoolFiles(
        files.train,
        files.test,
        place("config.json"),
        files.shards,
        place("repeats.parquet"),
        place("train-logits.parquet"),
        place("test-logits.parquet"),
        files.logits,
    )
    names = PoolNames("toy", "g", "s", "t")
    assess_pool(pool, names, files.rows, place("quality.json"), place("rows.parquet"), place("samples.html"))


def table3(files: Files) -> None:
    """Draw generated rows."""
    from gendist.report.generated import Generated
    from gendist.report.table3 import write_table3

    generated = Generated(files.train, files.shards, files.logits, files.rows)
    write_table3({"toy": generated}, files.folder / "table3.csv", files.folder / "table3.md")


def table4(files: Files) -> None:
    """Draw generated rows and find their nearest real ones."""
    from gendist.report.generated import Generated
    from gendist.report.table4 import write_table4

    generated = Generated(files.train, files.shards, (), files.rows)
    write_table4({"toy": generated}, files.folder / "table4.csv", files.folder / "table4.md")


def memorisation(files: Files) -> None:
    """Measure what generated rows share with the training rows."""
    from gendist.quality.memorisation import write_memorisation
    from gendist.report.generated import Generated

    generated = Generated(files.train, files.shards, (), files.rows)
    out = files.folder / "memorisation.csv", files.folder / "memorisation.md"
    write_memorisation({"toy": generated}, {"toy": files.test}, *out)


STAGES: dict[str, Callable[[Files], None]] = {
    stage.__name__: stage for stage in (student, repeats, quality, table3, table4, memorisation)
}


def peak() -> int:
    """The most memory that this process ever held, in bytes; a new program starts from zero."""
    status = Path("/proc/self/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def main(stage: str, rows: int, shard_rows: int) -> Iterator[dict[str, float]]:
    """Yield what the process took before the stage ran, and after."""
    with tempfile.TemporaryDirectory() as folder:
        files = write_study(Path(folder), REAL, REAL)
        STAGES[stage](files)  # imports and whatever else is paid once
        yield {"bytes": peak()}
        files = write_study(Path(folder) / "large", rows, shard_rows)
        used = resource.getrusage(resource.RUSAGE_SELF)
        STAGES[stage](files)
        now = resource.getrusage(resource.RUSAGE_SELF)
        yield {"bytes": peak(), "cpu": now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime}


if __name__ == "__main__":
    before, after = main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps({"grown": after["bytes"] - before["bytes"], "peak": after["bytes"], "cpu": after["cpu"]}))
