"""The small study on a workstation with two GPUs that are not there: how many Snakemake counts, who gets which."""

import itertools
import re
from datetime import datetime
from pathlib import Path

import pytest
from workflow_fixtures import STUDY, Checkout, changed

from gendist.jobs import gpu_claims, visible_gpus

DEVICE = re.compile(r"^(\S+ \S+) device: CPU in place of (FAKE-\d) ", re.MULTILINE)
STAMP = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) ", re.MULTILINE)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv(visible_gpus.FAKE_GPUS_VARIABLE, "2")
    monkeypatch.setenv(gpu_claims.FOLDER_VARIABLE, str(tmp_path / "locks"))
    monkeypatch.delenv(visible_gpus.VISIBLE_VARIABLE, raising=False)
    return tmp_path / "locks"


def most(bare: Checkout, study: dict, *arguments: str) -> str:
    """GPUs that a job gets if it asks for nine: the total that Snakemake knows of, or nine if it knows of none."""
    asks, target = "finetune_generator:gpu=9", "results/toy/generators/tiny/config.json"
    config = bare.write(study, "gpus.yaml")
    run = ("--dry-run", "--quiet", "host", "--configfile", config, "--set-resources", asks)
    result = bare.snakemake(*run, *arguments, "--", target)
    assert result.returncode == 0, result.stdout
    (resources,) = re.findall(r"^    resources: (.*gpu=.*)$", result.stdout, re.MULTILINE)
    return resources


def moment(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S,%f").timestamp()


@pytest.mark.usefixtures("two_gpus")
def test_snakemake_is_told_how_many_gpus_there_are(bare: Checkout, monkeypatch: pytest.MonkeyPatch):
    assert "gpu=2" in most(bare, STUDY, "--cores", "4")
    assert "gpu=1" in most(bare, STUDY, "--cores", "4", "--resources", "gpu=1")  # the user's word
    # A cluster has more than the machine that the run is started on.
    assert "gpu=9" in most(bare, STUDY, "--executor", "slurm", "--jobs", "5")
    monkeypatch.setenv(visible_gpus.VISIBLE_VARIABLE, "1")
    assert "gpu=1" in most(bare, STUDY, "--cores", "4")
    monkeypatch.setenv(visible_gpus.FAKE_GPUS_VARIABLE, "0")  # a machine without: as many jobs as cores
    assert "gpu=9" in most(bare, STUDY, "--cores", "4")


@pytest.mark.usefixtures("two_gpus")
def test_a_study_on_the_cpu_asks_for_no_gpu(bare: Checkout):
    config = bare.write(changed(device="cpu"), "gpus.yaml")
    result = bare.snakemake("--dry-run", "--quiet", "host", "--cores", "4", "--configfile", config)
    assert "finetune_generator" in result.stdout and "gpu=" not in result.stdout


@pytest.mark.slow
def test_jobs_use_both_gpus_and_never_share_one(own: Checkout, two_gpus: Path):
    study = own.write(changed(shard_rows=2))
    shards = [f"results/toy/synthetic/tiny/full/shard-0000{i}.parquet" for i in range(4)]
    teacher = "results/toy/teachers/bert/config.json"
    # Snakemake is told of four, so that nothing but the claims keeps the jobs apart.
    result = own.snakemake("--cores", "4", "--resources", "gpu=4", "--configfile", study, "--", *shards, teacher)
    assert result.returncode == 0, result.stdout
    logs = [path.read_text() for path in sorted((own.folder / "results" / "logs" / "toy").rglob("*.log"))]
    turns: dict[str, list[tuple[float, float]]] = {}
    for log in logs:
        for began, gpu in DEVICE.findall(log):
            turns.setdefault(gpu, []).append((moment(began), moment(STAMP.findall(log)[-1])))
    assert set(turns) == {"FAKE-0", "FAKE-1"}
    assert sum(map(len, turns.values())) == 6  # generator, teacher, four shards
    for jobs in turns.values():
        for before, after in itertools.pairwise(sorted(jobs)):
            assert before[1] <= after[0]
    assert any("waiting for a GPU; " in log for log in logs)
    assert sorted(path.name for path in two_gpus.iterdir()) == ["FAKE-0.lock", "FAKE-1.lock"]


@pytest.mark.slow
def test_a_gpu_that_must_be_there_is_missed_in_one_line(own: Checkout):
    study = own.write(changed(device="gpu"))
    result = own.snakemake("--cores", "2", "--configfile", study, "--", "results/toy/teachers/bert/config.json")
    assert result.returncode != 0
    assert re.search(r"^\[.*\] error: device is 'gpu', but PyTorch sees none; ", result.stdout, re.MULTILINE)
    assert "Traceback" not in result.stdout
