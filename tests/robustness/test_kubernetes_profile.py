"""The scripts and manifests of the Kubernetes profile."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from kubernetes_fixtures import PROFILE, Cluster, reread, small_cluster, wait_until
from workflow_fixtures import ROOT, STUDY, Checkout


@pytest.fixture
def small(tmp_path: Path) -> Cluster:
    return small_cluster(tmp_path)


@pytest.fixture
def submit(small: Cluster) -> ModuleType:
    """The module submit.py of a cluster's profile."""
    spec = importlib.util.spec_from_file_location("submit", small.scripts / "submit.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def job_script(small: Cluster, text: str = "exit 0", **changed: Any) -> str:
    """Write a job script as Snakemake does."""
    properties = {"rule": "fit", "wildcards": {}, "output": ["a"], "threads": 1, "resources": {"mem_mb": 9, "gpu": 0}}
    path = small.work / "snakejob.sh"
    path.write_text(f"#!/bin/sh\n# properties = {json.dumps(properties | changed)}\n{text}\n")
    return str(path)


def test_the_scripts_submit_watch_and_cancel(small: Cluster):
    (name,) = small.script("submit.py", job_script(small, "sleep 60")).stdout.split()
    assert small.script("status.py", name).stdout == "running\n"
    (small.folder / "unreachable").touch()
    result = small.script("status.py", name)
    assert (result.returncode, result.stdout) == (0, "running\n") and "was refused" in result.stderr
    (small.folder / "unreachable").unlink()
    assert small.script("cancel.sh", name, "gendist-unknown").returncode == 0
    wait_until(lambda: not small.jobs())
    assert small.script("status.py", name).stdout == "failed\n"
    for text, status in (("exit 0", "success"), ("exit 3", "failed")):
        assert small.script("submit.py", job_script(small, text)).stdout == f"{name}\n"
        wait_until(lambda: small.jobs("code"))
        assert small.script("status.py", name).stdout == f"{status}\n"


def test_names_are_labels_and_of_one_job_each(small: Cluster, submit: ModuleType):
    names = []
    for changed in ({}, {"rule": "Fit_" * 30 + "$(x)"}, {"output": ["b"]}, {"wildcards": {"dataset": "'; rm -rf"}}):
        properties = submit.read_job_properties(job_script(small, **changed))
        job = submit.job_manifest(Path(job_script(small)), properties)
        check_name = re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", job["metadata"]["name"])
        assert check_name and len(check_name[0]) < 64
        names.append(check_name[0])
    assert len(set(names)) == 4


def test_a_script_that_pods_cannot_see_is_refused_in_one_line(small: Cluster, tmp_path: Path):
    elsewhere = Path(job_script(small)).rename(tmp_path / "snakejob.sh")
    result = small.script("submit.py", str(elsewhere))
    assert result.returncode == 1
    assert result.stderr == f"error: {elsewhere}: not on a volume of job.yaml ({small.work})\n"


@pytest.mark.parametrize(
    ("messages", "calls"),
    [
        (["", ""], 2),
        (["Unable to connect to the server: EOF", "", "The connection to the server was refused", "", ""], 5),
        (["", "Error from server (Forbidden): jobs.batch is forbidden"], 2),
        (["Unable to connect to the server: EOF"] * 4, 4),
    ],
)
def test_a_submission_is_repeated_if_that_can_help(
    small: Cluster, submit: ModuleType, monkeypatch: pytest.MonkeyPatch, messages: list[str], calls: int
):
    answers = iter(messages)
    made: list[tuple[str, ...]] = []

    def kubectl(*arguments: str, text: str = "") -> str:
        made.append(arguments)
        return next(answers)

    monkeypatch.setattr(submit, "kubectl", kubectl)
    monkeypatch.setattr(submit.time, "sleep", lambda seconds: None)
    job = {"metadata": {"name": "gendist-fit"}}
    if messages[-1]:
        with pytest.raises(SystemExit, match=r"error: (Error from server|Unable)"):
            submit.create(job)
    else:
        submit.create(job)
    assert len(made) == calls


# --- the namespace ---


def cluster_manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((PROFILE / "cluster.yaml").read_text()))


@pytest.mark.parametrize("manifest", cluster_manifests(), ids=lambda manifest: manifest["kind"])
def test_what_a_namespace_needs_is_well_formed(manifest: dict[str, Any]):
    assert reread(manifest, f"V1{manifest['kind']}") == manifest


RIGHTS = {"create": {"create"}, "get": {"get"}, "delete": {"delete", "get", "list", "watch"}}
"""Verbs of the API that kubectl's need; it waits for a deletion by listing and watching."""


def test_the_role_allows_what_the_scripts_do(small: Cluster):
    (name,) = small.script("submit.py", job_script(small)).stdout.split()
    small.script("status.py", name)
    small.script("cancel.sh", name)
    wait_until(lambda: not small.jobs())
    (role,) = [manifest for manifest in cluster_manifests() if manifest["kind"] == "Role"]
    (rule,) = role["rules"]
    assert rule["apiGroups"] == ["batch"] and rule["resources"] == ["jobs"]
    called = {line.split()[1] for line in (small.folder / "calls").read_text().splitlines()}
    assert set(rule["verbs"]) == set().union(*(RIGHTS[verb] for verb in called))


def test_jobs_and_the_pod_that_starts_them_agree():
    kinds = {manifest["kind"]: manifest for manifest in cluster_manifests()}
    start = kinds["Pod"]["spec"]
    pod = yaml.safe_load((PROFILE / "job.yaml").read_text())["spec"]["template"]["spec"]
    for key in ("image", "volumeMounts"):
        assert pod["containers"][0][key] == start["containers"][0][key]
    assert pod["volumes"] == start["volumes"]
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == kinds["PersistentVolumeClaim"]["metadata"]["name"]
    assert start["serviceAccountName"] == kinds["ServiceAccount"]["metadata"]["name"]
    (path,) = [variable["value"] for variable in start["containers"][0]["env"] if variable["name"] == "PYTHONPATH"]
    assert path.startswith(f"{start['containers'][0]['volumeMounts'][0]['mountPath']}/")
    assert path in (ROOT / "docs/clusters.md").read_text()


def test_the_profile_names_its_scripts_and_rules_that_exist():
    profile = yaml.safe_load((PROFILE / "profile.yaml").read_text())
    for name in ("submit", "status", "cancel"):
        assert (PROFILE / profile[f"cluster-generic-{name}-cmd"]).stat().st_mode & 0o111
    text = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    assert all(re.search(rf"rule {name}:|as {name} with:", text) for name in profile["set-resources"])


STORAGE = """
from snakemake_interface_storage_plugins.storage_object import StorageObjectRead, StorageObjectWrite
from snakemake_interface_storage_plugins.storage_provider import StorageProviderBase


class StorageProvider(StorageProviderBase):
    def nothing(*arguments):
        return None

    example_queries = is_valid_query = rate_limiter_key = default_max_requests_per_second = use_rate_limiter = nothing


class StorageObject(StorageObjectRead, StorageObjectWrite):
    pass
"""


@pytest.mark.parametrize("name", ["fs", "elsewhere"])
def test_storage_that_copies_files_is_refused_in_one_line(
    bare: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
):
    plugin = tmp_path / f"snakemake_storage_plugin_{name}"
    plugin.mkdir()
    (plugin / "__init__.py").write_text(STORAGE)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    config = bare.write(STUDY, "stored.yaml")
    result = bare.snakemake("--dry-run", "--configfile", config, "--default-storage-provider", name)
    assert result.returncode != 0
    lines = [line for line in result.stdout.splitlines() if not line.startswith("Using ")]
    assert len(lines) == 1, result.stdout
    assert lines[0].startswith("error: default-storage-provider: not supported; ")
