"""The workflow on a real Slurm: one node, two fake GPUs; see slurm_cluster.py."""

import copy
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
from slurm_cluster import Cluster, missing, started, wait_for
from workflow_fixtures import STUDY, Checkout

from gendist.config.sampling_settings import Sampling
from gendist.stages.synthetic.generate_shards import generate_shards

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing() or "Slurm is there")]

QUICK = [
    "--config",  # the jobs are of single shards here; whatever follows it must be an option
    "shards_together=false",
    "--slurm-init-seconds-before-status-checks",
    "1",
    "--max-status-checks-per-second",
    "2",
    "--latency-wait",
    "20",
]
"""The profile's waits are those of a busy cluster, and its shards those of a GPU."""
POOL = "results/toy/synthetic/tiny/full"
VISIBLE = re.compile(r"device: \w+ \(CUDA_VISIBLE_DEVICES=(.*)\)")
TIMED = re.compile(r"(^|/)(logs|costs)(/|$)|timing\.json|costs\.parquet|costs\.(csv|md)|tradeoff\.|report\.html")
"""What is made of durations."""
GENDIST = [sys.executable, "-m", "gendist"]


def small(shards: int, **changed: Any) -> dict[str, Any]:
    """The toy study with fewer systems and more shards, of four rows each unless said otherwise."""
    study = {**copy.deepcopy(STUDY), "shard_rows": 4, **changed}
    study["datasets"]["toy"]["synthetic"] = study["shard_rows"] * shards
    study["students"] = {"kim": STUDY["students"]["kim"]}
    study["samplings"] = {"full": {"max_tokens": 40, "batch_size": 64}}
    return {**study, "systems": ["kim", "kim+gendist"], "counts": []}


def slow(shards: int, rows: int) -> dict[str, Any]:
    """The same with shards that take a while: row by row, which changes none of them."""
    study = small(shards, shard_rows=rows)
    study["samplings"]["full"]["batch_size"] = 1
    return study


def shards(count: int) -> list[str]:
    """The first shards of the study's pool."""
    return [f"{POOL}/shard-{i:05d}.parquet" for i in range(count)]


def contents(checkout: Checkout) -> dict[str, Any]:
    """Every result that no clock has a part in: bytes by path, of the tidy table all columns but the times."""
    found: dict[str, Any] = {}
    for path in sorted((checkout.folder / "results").rglob("*")):
        name = path.relative_to(checkout.folder / "results").as_posix()
        if path.is_file() and not TIMED.search(name):
            found[name] = path.read_bytes()
    if "metrics.parquet" in found:
        table = pq.read_table(checkout.folder / "results/metrics.parquet")
        found["metrics.parquet"] = table.select([c for c in table.column_names if "seconds" not in c]).to_pylist()
    return found


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with started(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@contextmanager
def running(cluster: Cluster, checkout: Checkout, study: dict[str, Any], *arguments: str) -> Iterator[subprocess.Popen]:
    """A run on the cluster under way; whatever happens, it does not outlive the test."""
    command = [
        sys.executable,
        "-m",
        "gendist",
        "run",
        checkout.write(study),
        "--profile",
        "slurm",
        "--",
        *QUICK,
    ]
    process = subprocess.Popen(
        [*command, *arguments],
        cwd=checkout.folder,
        env={k: v for k, v in cluster.environment.items() if k != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=120)


def said(process: subprocess.Popen, checkout: Checkout) -> str:
    """What a run printed until its end, which must come and be a good one."""
    output, _ = process.communicate(timeout=600)
    log = (checkout.folder / "results/logs/run.log").read_text()
    assert process.returncode == 0, f"{output}\n{log}"
    return log


def devices(checkout: Checkout) -> list[tuple[str, str, str]]:
    """What each job that asked for a GPU said in its log: the devices it saw, when it said so, when it ended."""
    found = []
    logs = checkout.folder / "results/logs"
    for path in set(logs.rglob("*.log")) - {logs / "run.log"}:  # which repeats lines of failed jobs
        lines = path.read_text().splitlines()
        seen = [(match[1], line[:23]) for line in lines if (match := VISIBLE.search(line))]
        found += [(devices, begin, lines[-1][:23]) for devices, begin in seen]
    return sorted(found, key=lambda job: job[1])


def assert_alone(jobs: list[tuple[str, str, str]]) -> None:
    """Every job saw exactly one device, and no two at once the same."""
    assert {device for device, _, _ in jobs} == {"0", "1"}
    for i, (device, _, end) in enumerate(jobs):
        assert [job for job in jobs[i + 1 :] if job[0] == device and job[1] < end] == []


@pytest.fixture(scope="module")
def ready(bare: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout with a finetuned generator; whoever uses it copies it."""
    checkout = bare.copy(tmp_path_factory.mktemp("ready") / "checkout")
    checkout.run(small(1), "results/toy/generators/tiny/model.safetensors")
    return checkout


def undisturbed(ready: Checkout, folder: Path, count: int, rows: int) -> list[bytes]:
    """The same shards made here, one after the other and many rows at a time."""
    made = [folder / f"{i}.parquet" for i in range(count)]
    sampling = Sampling(**small(1)["samplings"]["full"])
    for i, path in enumerate(made):
        generate_shards(ready.folder / "results/toy/generators/tiny", [path], sampling, first_shard=i, shard_rows=rows)
    return [path.read_bytes() for path in made]


def mid_shard(cluster: Cluster, checkout: Checkout, count: int = 1) -> list[str]:
    """Wait until so many jobs generate rows; returns their Slurm ids."""
    logs = checkout.folder / "results/logs/toy/synthetic/tiny/full"

    def ids() -> list[str]:
        return [job for job, state, what, _ in cluster.queue("running") if "generate_shard" in what]

    def at_work() -> bool:
        log_texts = [path.read_text() for path in logs.glob("shard-*.log")]
        begun = [text for text in log_texts if "device:" in text and ".parquet:" not in text]
        return len(ids()) >= count and len(begun) >= count

    wait_for(at_work, f"{count} shards at work", 300)
    return ids()


def test_a_cancelled_shard_is_made_again(cluster: Cluster, ready: Checkout, tmp_path: Path):
    checkout = ready.copy(tmp_path / "cluster")
    with running(cluster, checkout, slow(2, 500), *shards(2)) as process:
        first = mid_shard(cluster, checkout, 2)[0]
        cluster.ask("scancel", first)
        wait_for(lambda: [first, "CANCELLED"] in [job[:2] for job in cluster.queue()], "the cancelled job")
        log = said(process, checkout)
    assert log.count("Trying to restart job") == 1
    assert [(checkout.folder / path).read_bytes() for path in shards(2)] == undisturbed(ready, tmp_path, 2, 500)
    assert_alone(devices(checkout))


def test_a_drained_node_and_a_lost_one_only_delay_the_run(cluster: Cluster, ready: Checkout, tmp_path: Path):
    checkout = ready.copy(tmp_path / "cluster")
    node = ["scontrol", "update", f"nodename={cluster.host}"]
    with running(cluster, checkout, slow(3, 150), *shards(3)) as process:
        mid_shard(cluster, checkout, 2)
        cluster.ask(*node, "state=drain", "reason=test")
        wait_for(lambda: cluster.node() == "drained", "the end of what ran", 300)
        assert [state for _, state, _, _ in cluster.queue("pending,running")] == ["PENDING"]
        cluster.ask(*node, "state=resume")
        (lost,) = mid_shard(cluster, checkout)
        cluster.ask(*node, "state=down", "reason=test")
        wait_for(lambda: [job[0] for job in cluster.queue("pending")] == [lost], "the requeued job")
        wait_for(lambda: cluster.has_left_the_node(lost), "the end of its first start")
        cluster.ask(*node, "state=resume")
        cluster.ask("scontrol", "update", f"jobid={lost}", "starttime=now")  # a requeued job waits two minutes
        log = said(process, checkout)
    assert "Trying to restart" not in log  # the queue did it, at no attempt's cost
    assert [(checkout.folder / path).read_bytes() for path in shards(3)] == undisturbed(ready, tmp_path, 3, 150)
    assert_alone(devices(checkout))


def test_a_job_killed_for_time_gets_more_of_it(cluster: Cluster, ready: Checkout, tmp_path: Path):
    checkout = ready.copy(tmp_path / "cluster")
    with running(cluster, checkout, slow(1, 1400), *shards(1)) as process:
        (job,) = mid_shard(cluster, checkout)
        assert cluster.queue("running")[0][3] == "2:00:00"
        # Limits are whole minutes; its end is brought forward to now.
        cluster.ask("scontrol", "update", f"jobid={job}", "endtime=now")
        wait_for(lambda: [job, "TIMEOUT"] in [known[:2] for known in cluster.queue()], "the end of its time", 120)
        mid_shard(cluster, checkout)
        assert cluster.queue("running")[0][3] == "4:00:00"
        log = said(process, checkout)
    assert log.count("Trying to restart job") == 1
    assert [(checkout.folder / path).read_bytes() for path in shards(1)] == undisturbed(ready, tmp_path, 1, 1400)


def test_a_controller_that_is_restarted_ends_no_run(cluster: Cluster, ready: Checkout, tmp_path: Path):
    checkout = ready.copy(tmp_path / "cluster")
    with running(cluster, checkout, slow(1, 400), *shards(1)) as process:
        mid_shard(cluster, checkout)
        cluster.restart_controller()
        log = said(process, checkout)
    assert "Trying to restart" not in log
    assert [(checkout.folder / path).read_bytes() for path in shards(1)] == undisturbed(ready, tmp_path, 1, 400)


def test_jobs_of_a_killed_run_are_not_made_twice(cluster: Cluster, ready: Checkout, tmp_path: Path):
    checkout = ready.copy(tmp_path / "cluster")
    node = ["scontrol", "update", f"nodename={cluster.host}"]
    cluster.ask(*node, "state=drain", "reason=test")
    try:
        with running(cluster, checkout, small(1), *shards(1)) as process:
            wait_for(lambda: len(cluster.queue("pending")) == 1, "a job in the queue", 300)
            ((job, *_),) = cluster.queue("pending")
            (snakemake,) = psutil.Process(process.pid).children()
            snakemake.kill()
            process.communicate(timeout=60)
            assert process.returncode == 1
        with running(cluster, checkout, small(1), *shards(1)) as process:
            output, _ = process.communicate(timeout=300)
        assert process.returncode == 1 and f"or cancel them: scancel {job}\n" in output, output
        cluster.ask("scancel", job)
    finally:
        cluster.ask(*node, "state=resume")
    with running(cluster, checkout, small(1), *shards(1)) as process:
        said(process, checkout)
    assert [(checkout.folder / path).read_bytes() for path in shards(1)] == undisturbed(ready, tmp_path, 1, 4)


def test_the_study_through_slurm_has_the_bytes_of_a_local_run(cluster: Cluster, own: Checkout, tmp_path: Path):
    local = own.copy(tmp_path / "local")
    local.run(small(4))
    with running(cluster, own, small(4)) as process:
        said(process, own)
    assert contents(own) == contents(local)
    assert len(contents(own)) > 40
    assert_alone(devices(own))
