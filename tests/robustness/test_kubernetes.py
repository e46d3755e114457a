"""The Kubernetes profile, with a kubectl that runs jobs on this machine."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from kubernetes_fixtures import Cluster, check_manifest, small_cluster, wait_until
from workflow_fixtures import STUDY, Checkout

from gendist.io.provenance import hash_file


@pytest.mark.slow
def test_jobs_run_in_pods_with_files_where_they_are(own: Checkout, bare: Checkout, tmp_path: Path):
    cluster = Cluster(own.folder, tmp_path / "cluster")
    shard = "results/toy/synthetic/tiny/full/shard-00000.parquet"
    svm = "results/toy/baselines/tfidf-svm/seed0/metrics.json"
    code, output = cluster.run("--configfile", own.write(STUDY), "--", shard, svm)
    assert code == 0, output
    local = bare.copy(tmp_path / "local")
    local.run(STUDY, shard)
    for path in ("texts/train.parquet", "generators/tiny", "synthetic/tiny/full/shard-00000.parquet"):
        made, expected = (folder / "results" / "toy" / path for folder in (own.folder, local.folder))
        assert hashed(made) == hashed(expected)
    # The profile has ten shards generated in one job.
    assert len(list((own.folder / shard).parent.iterdir())) == 10
    # What reads the user's files stays in the pod where the command runs.
    jobs = {job["metadata"]["name"].rpartition("-")[0].removeprefix("gendist-"): job for job in cluster.created()}
    assert set(jobs) == {"fit-tfidf-svm", "finetune-generator", "generate-shards"}
    memory = {"finetune-generator": "16000M", "generate-shards": "8000M", "fit-tfidf-svm": "4000M"}
    for rule, job in jobs.items():
        check_manifest(job, memory[rule], wants_gpu=rule != "fit-tfidf-svm")


def hashed(path: Path) -> str | dict[str, str]:
    """Hash of a file, or of each file of a folder."""
    if path.is_file():
        return hash_file(path)
    return {file.name: hash_file(file) for file in sorted(path.iterdir())}


@pytest.fixture
def small(tmp_path: Path) -> Cluster:
    return small_cluster(tmp_path)


@pytest.mark.slow
def test_a_failed_job_is_repeated_with_more_memory(small: Cluster):
    (small.work / "step.sh").write_text("test -e tried || { touch tried; kill $PPID; sleep 9; }\n")
    code, output = small.run("--retries", "1", "--", "words.txt")
    assert code == 0, output
    assert "Error in rule write_words" in output and not (small.work / "injected").exists()
    first, second = small.created()
    check_manifest(first, "4000M", wants_gpu=True)
    check_manifest(second, "8000M", wants_gpu=True)
    assert first["metadata"] == second["metadata"]  # so that the first is gone when the second starts


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["job", "pod"])
def test_a_job_that_is_lost_has_failed(small: Cluster, lost: str):
    (small.work / "step.sh").write_text("sleep 60\n")
    process = small.start("--", "words.txt")
    wait_until(lambda: small.jobs("container"))
    (path,) = small.jobs("container")
    if lost == "job":
        command = [small.folder / "bin/kubectl", "delete", "job", path.stem, "--ignore-not-found"]
        subprocess.run(command, env=small.variables, check=True)
    else:
        os.kill(int(path.read_text()), signal.SIGKILL)
    output, _ = process.communicate(timeout=50)
    assert process.returncode == 1 and "Error in rule write_words" in output, output


@pytest.mark.slow
def test_an_api_that_is_out_of_reach_for_a_while_fails_nothing(small: Cluster):
    (small.work / "step.sh").write_text("until test -e go; do sleep 0.1; done\n")
    process = small.start("--", "words.txt")
    wait_until(lambda: small.jobs("container"))
    (small.folder / "unreachable").touch()
    (small.work / "go").touch()
    wait_until(lambda: small.jobs("code"))
    asked = len(small.calls("get"))
    wait_until(lambda: len(small.calls("get")) > asked + 1)
    assert process.poll() is None
    (small.folder / "unreachable").unlink()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "was refused" in output, output


@pytest.mark.slow
def test_an_interrupted_run_deletes_its_jobs_and_is_resumed(tmp_path: Path):
    small = small_cluster(tmp_path, **{"seconds-between-status-checks": 5})
    work = small.work
    (work / "step.sh").write_text("touch started; test -e go || sleep 60\n")
    process = small.start("--", "words.txt")
    wait_until(lambda: (work / "started").exists())
    asked = len(small.calls("get"))
    wait_until(lambda: len(small.calls("get")) > asked)
    time.sleep(1)  # between two checks
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    wait_until(lambda: not small.jobs())
    (work / "go").touch()
    code, output = small.run("--", "words.txt")
    assert code == 0 and (work / "words.txt").exists(), output
