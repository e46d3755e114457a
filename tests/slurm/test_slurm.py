"""The workflow on a real Slurm: one node, two fake GPUs; see slurm_cluster.py."""

import copy
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from slurm_cluster import Cluster, missing, started, wait_for
from workflow_fixtures import STUDY, Checkout

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing() or "Slurm is there")]

QUICK = ["--slurm-init-seconds-before-status-checks", "1", "--max-status-checks-per-second", "2", "--latency-wait", "20"]
"""The profile's waits are those of a busy cluster."""
POOL = "results/toy/synthetic/tiny/full"
TIMED = re.compile(r"(^|/)(logs|costs)(/|$)|timing\.json|costs\.parquet|costs\.(csv|md)|tradeoff\.|report\.html")
"""What is made of durations."""


def small(shards: int, batch_size: int = 64) -> dict[str, Any]:
    """The toy study with fewer systems and more shards; a smaller batch makes the same rows, more slowly."""
    study = copy.deepcopy(STUDY)
    study["datasets"]["toy"]["synthetic"] = 4 * shards
    study["samplings"] = {"full": {"max_tokens": 12, "batch_size": batch_size}}
    study["students"] = {"kim": STUDY["students"]["kim"]}
    return {**study, "systems": ["tfidf-svm", "teacher", "kim", "kim+gendist"], "counts": [4 * shards]}


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
    command = [sys.executable, "-m", "gendist.cli.app", "run", checkout.write(study), "--profile", "slurm", "--", *QUICK]
    process = subprocess.Popen(
        [*command, *arguments],
        cwd=checkout.folder,
        env={**cluster.environment, "HF_HUB_OFFLINE": "1"},
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
            process.wait(60)


def said(process: subprocess.Popen, checkout: Checkout) -> str:
    """What a run printed until its end, which must come and be a good one."""
    output, _ = process.communicate(timeout=600)
    log = (checkout.folder / "results/logs/run.log").read_text()
    assert process.returncode == 0, f"{output}\n{log}"
    return log


def test_the_study_through_slurm_has_the_bytes_of_a_local_run(cluster: Cluster, own: Checkout, tmp_path: Path):
    local = own.copy(tmp_path / "local")
    local.run(small(4))
    with running(cluster, own, small(4)) as process:
        log = said(process, own)
    assert contents(own) == contents(local)
    assert len(contents(own)) > 40
