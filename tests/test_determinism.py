"""Equal studies give equal bytes, however they are cut up: by cores, by invocations, by shards."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file
from study_bytes import differences, fingerprint
from workflow_fixtures import SMALL_STUDY, Checkout

POOL, LOGITS = "toy/synthetic/tiny/full", "toy/logits/bert/tiny/full"


def rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of all shards in a folder."""
    return [row for file in sorted(folder.glob("shard-*.parquet")) for row in pq.read_table(file).to_pylist()]


def cores(checkout: Checkout, number: int, config: str, *further: str) -> None:
    result = checkout.snakemake("--cores", str(number), "--configfile", config, *further)
    assert result.returncode == 0, result.stdout


@pytest.mark.slow
def test_cores_invocations_and_shards_change_no_byte(own: Checkout, tmp_path: Path):
    whole, config = own.folder / "results", own.write(SMALL_STUDY)
    other = own.copy(tmp_path / "other")
    cores(own, 2, config)
    expected = fingerprint(whole)
    assert len(expected) > 60

    # On one core, in another folder, in three invocations of which the first wants fewer rows, the second stops early.
    fewer = {**SMALL_STUDY, "datasets": {"toy": {**SMALL_STUDY["datasets"]["toy"], "synthetic": 4}}}
    cores(other, 1, other.write(fewer), "--until", "generate_shard")
    cores(other, 1, other.write(SMALL_STUDY), "--until", "score_shard")
    cores(other, 1, config)
    assert differences(expected, fingerprint(other.folder / "results")) == []

    # One shard of eight rows in place of two of four: provenance differs, nothing else does.
    single = {**SMALL_STUDY, "shard_rows": 8, "results": "single"}
    students = [path for path in expected if path.startswith("toy/students/") and path.endswith(".safetensors")]
    cores(own, 2, own.write(single), "--", *(f"single/{path}" for path in students))
    assert rows(own.folder / "single" / POOL) == rows(whole / POOL)
    assert rows(own.folder / "single" / LOGITS) == rows(whole / LOGITS)
    assert len(rows(whole / POOL)) == 8 and len(students) == 5
    for path in students:
        one, two = load_file(whole / path), load_file(own.folder / "single" / path)
        assert one.keys() == two.keys()
        assert all((one[name] == two[name]).all() for name in one), path
        predictions = Path(path).parent / "predictions.parquet"
        assert pq.read_table(whole / predictions).equals(pq.read_table(own.folder / "single" / predictions)), path
