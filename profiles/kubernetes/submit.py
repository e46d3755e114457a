#!/usr/bin/env python3
"""Create the Kubernetes Job that runs a Snakemake job script, and print its name."""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from snakemake.utils import read_job_properties

FOLDER = Path(__file__).resolve().parent
GPU = "nvidia.com/gpu"
MEGABYTES = {"mem_mb": "memory", "disk_mb": "ephemeral-storage"}
REFUSED = re.compile(r"\((Forbidden|Invalid|BadRequest|NotFound)\)")
"""Answers of the API that a repetition does not change."""


def job_name(properties: dict[str, Any]) -> str:
    """Return a DNS label, equal for each attempt and run of a job."""
    rule = properties.get("rule", "group")
    values = [os.getcwd(), rule, properties.get("wildcards"), properties["output"]]  # noqa: PTH109
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    return f"gendist-{re.sub('[^a-z0-9]+', '-', rule.lower()).strip('-')[:36]}-{digest[:16]}"


def job_manifest(script: Path, properties: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest: job.yaml with the name, the script and the resources of a job.

    Args:
        script: the job script.
        properties: its properties, as Snakemake's ``read_job_properties`` returns them.
    """
    job: dict[str, Any] = yaml.safe_load((FOLDER / "job.yaml").read_text(encoding="utf-8"))
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    paths = [mount["mountPath"] for mount in container["volumeMounts"]]
    if not any(script.is_relative_to(path) for path in paths):
        sys.exit(f"error: {script}: not on a volume of job.yaml ({', '.join(paths)})")
    wanted = properties["resources"]
    limits = {"cpu": str(properties["threads"])}
    limits |= {limit: f"{wanted[name]}M" for name, limit in MEGABYTES.items() if name in wanted}
    if wanted.get("gpu"):
        limits[GPU] = str(wanted["gpu"])
        toleration = {"key": GPU, "operator": "Exists", "effect": "NoSchedule"}
        pod["tolerations"] = [*pod.get("tolerations", []), toleration]
    # The package of this checkout, not of the image: the rules record the version of its code.
    path = {"name": "PYTHONPATH", "value": str(FOLDER.parents[1])}
    job["metadata"]["name"] = job_name(properties)
    container["args"] = [str(script)]
    container["env"] = [*container.get("env", []), path]
    container["resources"] = {"requests": limits, "limits": limits}
    return job


def create(job: dict[str, Any]) -> None:
    """Create a Job, in place of the one of an earlier attempt or run, whose pod ends first."""
    delete = ["delete", "job", job["metadata"]["name"], "--ignore-not-found", "--cascade=foreground", "--timeout=5m"]
    for pause in (5, 20, 60, None):
        message = kubectl(*delete) or kubectl("create", "--filename=-", "--request-timeout=30s", text=json.dumps(job))
        if not message:
            return
        if pause is None or REFUSED.search(message):
            sys.exit(f"error: {message}")
        time.sleep(pause)


def kubectl(*arguments: str, text: str = "") -> str:
    """Run kubectl; return its error message, empty if it succeeded."""
    result = subprocess.run(["kubectl", *arguments], input=text, text=True, capture_output=True)
    return (result.stderr.strip() or "kubectl failed") if result.returncode else ""


if __name__ == "__main__":
    job = job_manifest(Path(sys.argv[1]), read_job_properties(sys.argv[1]))
    create(job)
    print(job["metadata"]["name"])
