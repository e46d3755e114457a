"""Equal studies give equal bytes, however they are cut up: by cores, by invocations, by shards."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file
from study_bytes import differences, fingerprint
from workflow_fixtures import SMALL_STUDY, Checkout

from gendist.config import study_from
from gendist.naming import RunKey
from gendist.stages.logits.score_texts import score_files
from gendist.stages.students.distil_student import distil_seeds, student_metadata
from gendist.stages.students.training_rows import SyntheticFiles
from gendist.stages.synthetic.generate_shards import generate_shards


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
    require_shards_without_influence(whole, own.folder / SMALL_STUDY["students"]["kim"]["embeddings"], tmp_path)


def require_shards_without_influence(results: Path, embeddings: Path, folder: Path) -> None:
    """Make one shard of eight rows in place of two of four: provenance differs, nothing else does."""
    study, toy = study_from(SMALL_STUDY), results / "toy"
    shard, logits = folder / "one/shard-00000.parquet", folder / "one/logits.parquet"
    generate_shards(toy / "generators/tiny", [shard], study.samplings["full"], first_shard=0, shard_rows=8)
    score_files(toy / "teachers/bert", [shard], [logits], study.teachers["bert"].max_tokens)
    assert rows(shard.parent) == rows(toy / "synthetic/tiny/full") and len(rows(shard.parent)) == 8
    assert pq.read_table(logits).to_pylist() == rows(toy / "logits/bert/tiny/full")
    distil_seeds(
        {0: folder / "run"},
        student_metadata(RunKey("toy", "kim", "gendist", "bert.tiny.full.default", 8, 0)),
        train=toy / "texts/train.parquet",
        test=toy / "texts/test.parquet",
        embeddings=embeddings,
        student=study.students["kim"],
        training=study.trainings["default"],
        train_logits=toy / "logits/bert/train.parquet",
        synthetic=SyntheticFiles([shard], [logits], 8),
    )
    before = toy / "students/kim/gendist/bert.tiny.full.default/n8/seed0"
    one, two = (load_file(run / "model.safetensors") for run in (before, folder / "run"))
    assert one.keys() == two.keys() and all((one[name] == two[name]).all() for name in one)
    predictions = [pq.read_table(run / "predictions.parquet").to_pylist() for run in (before, folder / "run")]
    assert predictions[0] == predictions[1]
