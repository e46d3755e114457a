"""Snakemake with the Kubernetes executor and no cluster: the plugin's own code talks to an API that is made up here.

A job that is created is kept as JSON in ``$FAKE_CLUSTER/jobs``. Its container's command then runs on this machine, in
an empty folder of its own in place of ``/workdir``, with ``$FAKE_CLUSTER/bin`` in front of the PATH and nothing else of
the environment: what a volume mounts must lie at the same path here.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kubernetes.client
import kubernetes.config
from snakemake.cli import main

CLUSTER = Path(os.environ["FAKE_CLUSTER"])
RUNNING: dict[str, subprocess.Popen[bytes]] = {}


def create_namespaced_job(self: Any, namespace: str, body: Any) -> Any:
    """Note a job down and start its container."""
    manifest = kubernetes.client.ApiClient().sanitize_for_serialization(body)
    name = str(manifest["metadata"]["name"])
    folder = CLUSTER / "jobs"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps({"namespace": namespace, **manifest}, indent=1))
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    workdir = CLUSTER / "workdirs" / name
    workdir.mkdir(parents=True)
    words = [word.replace(container["workingDir"] + "/", f"{workdir}/") for word in container["args"]]
    environment = {
        "PATH": f"{CLUSTER / 'bin'}:{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(workdir),
        "HF_HUB_OFFLINE": "1",
    }
    with (folder / f"{name}.log").open("wb") as log:
        RUNNING[name] = subprocess.Popen(
            [*container["command"], *words], cwd=workdir, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    return body


def read_namespaced_job_status(self: Any, name: str, namespace: str) -> Any:
    """Say how a job is doing."""
    code = RUNNING[name].poll()
    return SimpleNamespace(status=SimpleNamespace(failed=int(code not in (None, 0)), succeeded=int(code == 0)))


def no_pods(self: Any, **named: Any) -> Any:
    """Jobs have no pods here."""
    return SimpleNamespace(items=[])


def nothing(*arguments: Any, **named: Any) -> None:
    """Take note of nothing."""


kubernetes.config.load_kube_config = nothing
core, batch = kubernetes.client.CoreV1Api, kubernetes.client.BatchV1Api
core.create_namespaced_secret = core.delete_namespaced_secret = nothing
core.list_namespaced_pod = no_pods
batch.create_namespaced_job = create_namespaced_job
batch.read_namespaced_job_status = read_namespaced_job_status
batch.delete_namespaced_job = nothing

if __name__ == "__main__":
    main(sys.argv[1:])
