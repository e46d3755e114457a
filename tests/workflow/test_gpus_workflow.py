"""The small study on a workstation with two GPUs that are not there: how many jobs start, who gets which."""

import itertools
import re
from datetime import datetime
from pathlib import Path

import pytest
from workflow_fixtures import STUDY, Checkout, changed

from gendist.jobs import gpu_claims, visible_gpus
from gendist.launcher.snakemake_command import limit_resources

DEVICE = re.compile(r"^(\S+ \S+) device: CPU in place of (FAKE-\d) ", re.MULTILINE)
STAMP = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) ", re.MULTILINE)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv(visible_gpus.FAKE_GPUS_VARIABLE, "2")
    monkeypatch.setenv(gpu_claims.FOLDER_VARIABLE, str(tmp_path / "locks"))
    monkeypatch.delenv(visible_gpus.VISIBLE_VARIABLE, raising=False)
    return tmp_path / "locks"


def asked(bare: Checkout, *arguments: str) -> str:
    """Resources of the job that finetunes the generator."""
    run = ("--dry-run", "--quiet", "host", "--configfile", bare.write(STUDY, "gpus.yaml"))
    result = bare.snakemake(*run, *arguments, "--", "results/toy/generators/tiny/config.json")
    assert result.returncode == 0, result.stdout
    (resources,) = re.findall(
        r"^rule finetune_generator:\n(?:    .*\n)*?    resources: (.*)$", result.stdout, re.MULTILINE
    )
    return resources


def moment(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S,%f").timestamp()


@pytest.mark.usefixtures("two_gpus")
def test_jobs_ask_for_a_gpu_where_there_is_one(bare: Checkout, monkeypatch: pytest.MonkeyPatch):
    assert "gpu=1" in asked(bare, "--cores", "4")
    monkeypatch.setenv(visible_gpus.FAKE_GPUS_VARIABLE, "0")  # a limit must not delay jobs that use none
    assert "gpu" not in asked(bare, "--cores", "4", "--resources", "gpu=1")
    # The nodes of a cluster have GPUs that the machine of the command lacks.
    assert "gpu=1" in asked(bare, "--executor", "slurm", "--jobs", "5")


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("arguments", "limits"),
    [
        ([], ["gpu=6", "endpoint=1"]),
        (["--resources", "gpu=1"], ["endpoint=1", "gpu=1"]),  # the user's word
        (["--resources", "gpu=1", "endpoint=3"], ["gpu=1", "endpoint=3"]),
        (["--", "results/a"], ["gpu=6", "endpoint=1"]),
        (["--profile", "slurm"], None),
        (["--executor=slurm"], None),
    ],
)
def test_a_run_limits_gpu_jobs_and_prompting_jobs(arguments: list[str], limits: list[str] | None):
    made = limit_resources(["--cores", "4", *arguments], len(visible_gpus.visible_gpus()))
    if limits is None:
        assert made == ["--cores", "4", *arguments]
        return
    options = made[: made.index("--")] if "--" in made else made
    assert options == ["--cores", "4", "--resources", *limits]
    assert made[len(options) :] == (arguments if "--" in arguments else [])


def test_a_machine_without_gpus_sets_no_limit_of_zero():
    assert limit_resources(["--cores", "4"], 0) == ["--cores", "4", "--resources", "endpoint=1"]


def provided(bare: Checkout, *arguments: str) -> list[str]:
    """Names of the limits that Snakemake states when it starts a run of the simplest job."""
    config = bare.write(STUDY, "gpus.yaml")
    result = bare.snakemake("--quiet", "host", "--configfile", config, *arguments, "--", "results/run_config.yaml")
    assert result.returncode == 0, result.stdout
    (line,) = re.findall(r"^Provided resources: (.*)$", result.stdout, re.MULTILINE)
    return re.findall(r"(\w+)=", line)


def test_plain_snakemake_limits_prompting_jobs_by_default(own: Checkout):
    assert provided(own, "--cores", "1") == ["endpoint"]
    (own.folder / "results/run_config.yaml").unlink()
    assert provided(own, "--cores", "1", "--resources", "gpu=1") == ["gpu"]  # replaces those of the profile


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
    # Snakemake may start four, so that nothing but the claims keeps the jobs apart.
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
