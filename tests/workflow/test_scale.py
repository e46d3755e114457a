"""What grows with the number of synthetic rows, and what does not."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from quality_fixtures import write_shards
from workflow_fixtures import STUDY, Checkout, changed

from gendist.config import study_from
from gendist.config.sampling_settings import Sampling
from gendist.config.study_plan import too_many_shards
from gendist.errors import GendistError
from gendist.io.json_files import read_json
from gendist.io.parquet import ROW_GROUP_SIZE, write_parquet, write_parquet_parts
from gendist.io.provenance import Provenance
from gendist.stages.logits.score_texts import score_files
from gendist.stages.students.piece_ids import PieceIds
from gendist.stages.synthetic.generate_shards import generate_shards
from gendist.stages.synthetic.pool_reader import iter_pool_batches, read_pool, row_numbers_with_text, texts_at
from gendist.stages.synthetic.shard_index import resolve_shards

ROOT = Path(__file__).parents[2]
LIMITS = {"table3": 100, "table4": 100, "memorisation": 200, "quality": 2500, "repeats": 6000, "student": 1500}
"""Bytes of memory that a stage may take for one more row of 270 characters; measured in docs/notes/scale.md."""
PLAIN = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"}
"""One allocator with one heap, for a peak that is the same each time: others keep freed memory for themselves."""


def memory_growth(stage: str, rows: int) -> int:
    """Return by how many bytes a stage's process grows."""
    command = [sys.executable, str(ROOT / "tests/fixtures/scale_fixtures.py"), stage, str(rows), "500"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", **PLAIN}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return int(json.loads(result.stdout.splitlines()[-1])["memory_growth"])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize("stage", LIMITS)
def test_memory_per_row_stays_small(stage: str):
    few, many = (5_000, 15_000) if stage == "repeats" else (20_000, 60_000)
    assert (memory_growth(stage, many) - memory_growth(stage, few)) / (many - few) < LIMITS[stage]


# --- pools ---


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    return write_shards(tmp_path, ["" if i % 5 == 3 else f"text {i}" for i in range(23)], 4)


@pytest.mark.parametrize("size", [1, 3, 4, 7, 100])
def test_batches_of_any_size_are_the_whole_pool(shards: list[Path], size: int):
    whole, parts = read_pool(shards, 21), list(iter_pool_batches(shards, 21, size))
    assert [text for part in parts for text in part.texts] == whole.texts
    assert np.concatenate([part.rows for part in parts]).tolist() == whole.rows.tolist()
    assert sum(part.empty for part in parts) == whole.empty == 4
    assert all(len(part.rows) + part.empty <= size for part in parts)
    assert row_numbers_with_text(shards, 21).tolist() == whole.rows.tolist()


def test_single_texts_are_read_without_the_others(shards: list[Path]):
    assert texts_at(shards, [21, 0, 6]) == ["text 21", "text 0", "text 6"]
    with pytest.raises(GendistError, match="no row 23"):
        texts_at(shards, [1, 23])


def test_an_incomplete_batch_of_a_pool_is_an_error(shards: list[Path]):
    for wrong in (shards[1:], [shards[0], shards[2]], shards[::-1]):
        with pytest.raises(GendistError, match="expected, found"):
            assert all(part.rows.max() < 4 for part in iter_pool_batches(wrong, 8, 4))


def test_a_table_in_parts_is_the_same_file(tmp_path: Path):
    table = pa.table({"row": range(1000), "text": [f"text {i % 90}" for i in range(1000)]})
    provenance, names = Provenance("quality"), {"label_names": ["a"]}
    write_parquet(tmp_path / "whole", table, provenance, names)
    write_parquet_parts(tmp_path / "parts", iter([table[:300], table[300:999], table[999:]]), provenance, names)
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "parts").read_bytes()
    large = pa.table({"row": range(2 * ROW_GROUP_SIZE + 5)})
    write_parquet_parts(tmp_path / "large", (large[i : i + 70_000] for i in (0, 70_000)), provenance)
    assert pq.read_table(tmp_path / "large")["row"].to_pylist() == list(range(2 * ROW_GROUP_SIZE + 5))
    assert pq.ParquetFile(tmp_path / "large").num_row_groups == 3


def test_pieces_are_the_lists_that_they_were_made_of():
    rows = [[3], [4, 5, 6], [7, 8], [9]]
    packed = PieceIds.joined([PieceIds.of(rows[:2]), PieceIds.of(rows[2:]), PieceIds.of([])])
    assert len(packed) == 4 and [packed[i].tolist() for i in range(4)] == rows
    assert packed.ids.dtype == np.int32 and len(PieceIds.joined([])) == 0


# --- plan ---


def large_study(rows: int, shard_rows: int = 500) -> dict[str, object]:
    return {"datasets": {"toy": {"train": "a.csv", "test": "b.csv", "synthetic": rows}}, "shard_rows": shard_rows}


def test_many_shards_are_advised_against_in_one_line():
    assert too_many_shards(study_from(large_study(25_000))) is None
    assert too_many_shards(study_from(large_study(1_000_000))) is None
    advice = too_many_shards(study_from(large_study(11_000_000)))
    assert advice and advice.startswith("22,004 shards of 500 rows") and advice.endswith("shard_rows: 50000")
    huge = too_many_shards(study_from(large_study(2 * 10**9, 50_000)))
    assert huge and "docs/notes/scale.md" in huge


def test_the_plan_says_so_and_still_plans(bare: Checkout):
    study = {**STUDY, "datasets": {"toy": {**STUDY["datasets"]["toy"], "synthetic": 80_004}}}
    result = bare.snakemake(
        "--dry-run", "--cores", "2", "--configfile", bare.write(study, "many.yaml"), "--", "results/run_config.yaml"
    )
    assert result.stdout.count("note: 20,002 shards of 4 rows") == 1


MANY = changed(shard_rows=1, datasets={"toy": {**STUDY["datasets"]["toy"], "synthetic": 213}})


def test_shards_of_a_large_pool_are_planned_in_tens_behind_an_index(bare: Checkout):
    planned = bare.planned(MANY)
    shards = {name: count for name, count in planned.items() if "shard" in name or name == "index_logits"}
    # 200 shards alone, 20 in tens; 4 of the second pool.
    assert (shards.pop("generate_shard"), shards.pop("score_shard")) == (204, 204)
    assert shards == {"generate_shards": 2, "score_shards": 2, "index_shards": 1, "index_logits": 1}


@pytest.mark.slow
def test_a_student_of_a_large_pool_reads_every_shard(bare: Checkout):
    pool, scored = bare.folder / "results/toy/synthetic/tiny/full", bare.folder / "results/toy/logits/bert/tiny/full"
    bare.run(MANY, "results/toy/logits/bert/tiny/full/shard-00000.parquet")
    names = [f"shard-{number:05d}.parquet" for number in range(1, 200)]
    sampling = Sampling(**{**Sampling().model_dump(), **STUDY["samplings"]["full"]})
    generator, teacher = bare.folder / "results/toy/generators/tiny", bare.folder / "results/toy/teachers/bert"
    generate_shards(generator, [pool / name for name in names], sampling, first_shard=1, shard_rows=1, device="cpu")
    score_files(teacher, [pool / name for name in names], [scored / name for name in names], 16, device="cpu")
    student = "results/toy/students/kim/synthetic/bert.tiny.full.default/n213/seed0/metrics.json"
    log = bare.run(MANY, student, "results/toy/quality/tiny/full/repeats/n213.parquet")
    assert "generate_shards" in log and read_json(pool / "index-213.json")["shards"] == 213
    assert len(list(pool.glob("shard-*.parquet"))) == len(list(scored.glob("shard-*.parquet"))) == 220
    rows = read_pool(resolve_shards([str(pool / "index-213.json")]), 213).rows
    repeats = pq.read_table(bare.folder / "results/toy/quality/tiny/full/repeats/n213.parquet")
    assert repeats["row"].to_pylist() == rows.tolist() and rows[-1] > 200
    # A changed shard changes the index, and what reads it.
    shard = scored / "shard-00007.parquet"
    shard.unlink()
    again = bare.snakemake(
        "--dry-run", "--cores", "2", "--configfile", bare.write(MANY), "--forcerun", "index_logits", "--", student
    )
    assert "score_shard" in again.stdout and "distil_student" in again.stdout, again.stdout


# --- start-up ---


def loaded(statement: str) -> set[str]:
    program = f"{statement}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(result.stdout.split())


HEAVY = {"torch", "transformers", "pandas", "scipy", "sklearn", "matplotlib", "datasketch"}


def test_planning_loads_nothing_heavy():
    lines = (ROOT / "rules/common.smk").read_text().splitlines()
    lines += (line for file in (ROOT / "rules").glob("*.smk") for line in file.read_text().splitlines())
    imports = [line for line in lines if line.startswith(("from gendist", "import gendist")) and not line.endswith("(")]
    assert len(imports) > 8
    assert not loaded("\n".join(imports)) & HEAVY


def test_a_student_loads_torch_and_nothing_else_that_is_heavy():
    script = (ROOT / "workflow_scripts/distil_student.py").read_text().partition("names = snakemake")[0]
    assert loaded(script) & HEAVY == {"torch"}


@pytest.mark.parametrize("stage", ["write_run_config", "write_table1", "prepare_texts", "collect_metrics"])
def test_small_jobs_load_nothing_heavy(stage: str):
    lines = (ROOT / f"workflow_scripts/{stage}.py").read_text().splitlines()
    assert not loaded("\n".join(line for line in lines if line.startswith(("from ", "import ")))) & HEAVY


def test_settings_are_read_without_parsing_their_source():
    program = "import inspect; inspect.getsource = inspect.getsourcelines = None\nimport gendist.config.study"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
