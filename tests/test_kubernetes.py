"""The Kubernetes profile and the container recipe, without a cluster."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes.client
import pytest
import yaml
from workflow_fixtures import ROOT, Checkout, changed

PROFILE = ROOT / "profiles" / "kubernetes"

RSYNC = f"""\
#!{sys.executable}
import shutil, sys
source, target = [word for word in sys.argv[1:] if not word.startswith("--")]
shutil.copy2(source, target)
"""
"""In place of rsync where there is none: copies one file with its times, as the storage plugin asks it to."""


class Cluster:
    """A made-up cluster over a checkout: what is sent to it, and how it went."""

    def __init__(self, checkout: Checkout, folder: Path) -> None:
        self.checkout, self.folder = checkout, folder
        (folder / "bin").mkdir(parents=True)
        # Every pod would install the storage plugin first.
        self._program("pip", "#!/bin/sh\n")
        if shutil.which("rsync") is None:
            self._program("rsync", RSYNC)
        text = (PROFILE / "profile.yaml").read_text().replace("/gendist/checkout", str(checkout.folder))
        values = {**yaml.safe_load(text), "retries": 0, "seconds-between-status-checks": 1}
        (checkout.folder / "here").mkdir(exist_ok=True)
        (checkout.folder / "here" / "profile.yaml").write_text(yaml.safe_dump(values))

    def _program(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        variables = {
            **os.environ,
            "FAKE_CLUSTER": str(self.folder),
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.checkout.folder),
        }
        command = [sys.executable, str(ROOT / "tests" / "fake_kubernetes.py"), "--profile", "here", *arguments]
        return subprocess.run(
            command,
            cwd=self.checkout.folder,
            env=variables,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=900,
        )

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in sorted((self.folder / "jobs").glob("*.log")))

    def jobs(self) -> dict[str, dict[str, Any]]:
        """Manifests by the rule that each runs."""
        found = {}
        for path in (self.folder / "jobs").glob("*.json"):
            manifest = json.loads(path.read_text())
            container = manifest["spec"]["template"]["spec"]["containers"][0]
            (rule,) = re.findall(r"--allowed-rules '?(\w+)", container["args"][1])
            found[rule] = manifest
        return found


@pytest.fixture
def cluster(own: Checkout, tmp_path: Path) -> Cluster:
    return Cluster(own, tmp_path / "cluster")


@pytest.mark.slow
def test_a_shard_is_made_in_pods(cluster: Cluster):
    study = cluster.checkout.write(changed(shard_rows=4))
    shard = "results/toy/synthetic/tiny/full/shard-00000.parquet"
    result = cluster.run("--configfile", study, "--", shard)
    assert result.returncode == 0, result.stdout + cluster.logs()
    print(json.dumps(cluster.jobs(), indent=1))
    assert (cluster.checkout.folder / shard).is_file()
