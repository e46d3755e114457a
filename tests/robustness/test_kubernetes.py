"""The Kubernetes profile and the container recipe, without a cluster."""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kubernetes.client
import pytest
import snakemake_executor_plugin_kubernetes
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from workflow_fixtures import ROOT, STUDY, Checkout

from gendist.io.provenance import hash_file

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
        command = [sys.executable, str(ROOT / "tests/fixtures/fake_kubernetes.py"), "--profile", "here", *arguments]
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
def test_jobs_run_in_pods_with_files_where_they_are(cluster: Cluster, bare: Checkout, tmp_path: Path):
    shard = "results/toy/synthetic/tiny/full/shard-00000.parquet"
    svm = "results/toy/baselines/tfidf-svm/seed0/metrics.json"
    result = cluster.run("--configfile", cluster.checkout.write(STUDY), "--", shard, svm)
    assert result.returncode == 0, result.stdout + cluster.logs()
    local = bare.copy(tmp_path / "local")
    local.run(STUDY, shard)
    for path in ("texts/train.parquet", "generators/tiny", "synthetic/tiny/full/shard-00000.parquet"):
        made, expected = (folder / "results" / "toy" / path for folder in (cluster.checkout.folder, local.folder))
        assert hashed(made) == hashed(expected)
    # The profile has ten shards generated in one job.
    assert len(list((cluster.checkout.folder / shard).parent.iterdir())) == 10
    # Nothing lies about: the archive of the sources is gone, and no copy in storage.
    assert not list(cluster.checkout.folder.glob("snakemake-workflow-sources*"))
    jobs = cluster.jobs()
    # What reads the user's files stays in the pod where the command runs.
    assert set(jobs) == {"fit_tfidf_svm", "finetune_generator", "generate_shards"}
    for rule, job in jobs.items():
        check_manifest(rule, job)


def hashed(path: Path) -> str | dict[str, str]:
    """Hash of a file, or of each file of a folder."""
    if path.is_file():
        return hash_file(path)
    return {file.name: hash_file(file) for file in sorted(path.iterdir())}


def check_manifest(rule: str, job: dict[str, Any]) -> None:
    """A GPU is asked for by request and limit (Kubernetes wants the two equal), where a rule wants one."""
    assert reread(job, "V1Job")["spec"]["backoffLimit"] == 0
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "registry.example.org/gendist:latest"
    assert {"name": "gendist", "mountPath": "/gendist"} in container["volumeMounts"]
    assert {"name": "gendist", "persistentVolumeClaim": {"claimName": "gendist"}} in pod["volumes"]
    asked, limits = container["resources"]["requests"], container["resources"]["limits"]
    wants_gpu = rule != "fit_tfidf_svm"
    assert asked.get("nvidia.com/gpu") == limits.get("nvidia.com/gpu") == ("1" if wants_gpu else None)
    assert bool(pod.get("tolerations")) == wants_gpu
    memory = {"finetune_generator": "16000M", "generate_shards": "8000M", "fit_tfidf_svm": "4000M"}
    assert asked["memory"] == limits["memory"] == memory[rule]
    assert limits["cpu"] == "1000m" and asked["cpu"] == "950m"


def reread(manifest: dict[str, Any], kind: str) -> dict[str, Any]:
    """A manifest as Kubernetes' own client reads it and writes it again; what it does not know is lost on the way."""
    client = kubernetes.client.ApiClient()
    response = SimpleNamespace(data=json.dumps(manifest))
    return client.sanitize_for_serialization(client.deserialize(response, kind))


def cluster_manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((PROFILE / "cluster.yaml").read_text()))


@pytest.mark.parametrize("manifest", cluster_manifests(), ids=lambda manifest: manifest["kind"])
def test_what_a_namespace_needs_is_well_formed(manifest: dict[str, Any]):
    kind = "RbacV1Subject" if manifest["kind"] == "Subject" else f"V1{manifest['kind']}"
    assert reread(manifest, kind) == manifest


def test_the_role_allows_what_the_executor_does():
    source = Path(inspect.getsourcefile(snakemake_executor_plugin_kubernetes) or "").read_text()
    calls = set(re.findall(r"(?:kubeapi|batchapi)\.(\w+)\(", source))
    needed = {
        "create_namespaced_secret": ("secrets", "create"),
        "delete_namespaced_secret": ("secrets", "delete"),
        "create_namespaced_job": ("jobs", "create"),
        "read_namespaced_job_status": ("jobs/status", "get"),
        "delete_namespaced_job": ("jobs", "delete"),
        "list_namespaced_pod": ("pods", "list"),
        "delete_namespaced_pod": ("pods", "delete"),
        "read_namespaced_pod_log": ("pods/log", "get"),
    }
    assert calls == set(needed)
    (role,) = [manifest for manifest in cluster_manifests() if manifest["kind"] == "Role"]
    allowed = {(name, verb) for rule in role["rules"] for name in rule["resources"] for verb in rule["verbs"]}
    assert allowed == set(needed.values())


def test_the_profile_and_the_namespace_agree():
    profile = yaml.safe_load((PROFILE / "profile.yaml").read_text())
    claim, path = profile["kubernetes-persistent-volumes"][0].split(":")
    kinds = {manifest["kind"]: manifest for manifest in cluster_manifests()}
    assert claim == kinds["PersistentVolumeClaim"]["metadata"]["name"]
    (container,) = kinds["Pod"]["spec"]["containers"]
    assert container["volumeMounts"] == [{"name": claim, "mountPath": path}]
    assert container["image"] == profile["container-image"]
    assert profile["directory"].startswith(f"{path}/")
    assert profile["default-storage-prefix"] == profile["directory"]
    assert profile["precommand"] == f"export PYTHONPATH={profile['directory']}"


def test_a_study_is_planned_with_the_storage_plugin_as_without(bare: Checkout):
    storage = ("--default-storage-provider", "fs", "--default-storage-prefix", str(bare.folder))
    result = bare.snakemake("--dry-run", "--cores", "2", "--configfile", bare.write(STUDY, "stored.yaml"), *storage)
    assert result.returncode == 0, result.stdout
    jobs = sum(bare.planned(STUDY).values())
    assert re.search(rf"^total +{jobs + 1}$", result.stdout, re.MULTILINE), result.stdout  # with `all`
    assert ".snakemake/storage" not in result.stdout


def test_storage_that_copies_files_is_refused_in_one_line(
    bare: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    plugin = tmp_path / "snakemake_storage_plugin_elsewhere"
    plugin.mkdir()
    (plugin / "__init__.py").write_text("from snakemake_storage_plugin_fs import StorageObject, StorageProvider\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    config = bare.write(STUDY, "stored.yaml")
    result = bare.snakemake("--dry-run", "--configfile", config, "--default-storage-provider", "elsewhere")
    assert result.returncode != 0
    (line,) = [line for line in result.stdout.splitlines() if not line.startswith("Using ")]
    assert line.startswith("error: default-storage-provider: only fs is supported")


# --- the container recipe ---


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, rest), continued lines joined."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())]


def of(instruction: str) -> list[str]:
    return [rest for word, rest in instructions() if word == instruction]


def copied() -> list[str]:
    """What .dockerignore lets through."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines  # everything else is left out
    return [line[1:] for line in lines if line.startswith("!")]


def test_the_image_is_of_a_python_that_the_package_takes():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (base,) = of("FROM")
    version = re.fullmatch(r"python:(3\.\d+)-slim-\w+", base)
    assert version and SpecifierSet(project["requires-python"]).contains(version[1])
    for name in ("cpu", "cuda"):  # the same as that of the conda environments
        assert f"python={version[1]}" in yaml.safe_load((ROOT / "envs" / f"{name}.yaml").read_text())["dependencies"]


def test_everything_that_is_copied_is_there_and_nothing_else_is():
    for rest in of("COPY"):
        for source in rest.split()[:-1]:
            assert source == "." or (source in copied() and (ROOT / source).exists())
    for path in copied():
        assert (ROOT / path).exists(), path
    needed = {"Snakefile", "rules", "workflow_scripts", "gendist", "config.yaml", "configs", "profiles", "envs"}
    assert needed <= set(copied()) and not {"results", "tests", ".git", ".venv", ".snakemake"} & set(copied())


def test_every_installation_is_pinned():
    installs = [rest for rest in of("RUN") if "pip install" in rest]
    assert len(installs) == 3
    variables = " ".join(of("ENV"))
    assert "PIP_CONSTRAINT=/opt/gendist/constraints.txt" in variables and "WORKDIR" in dict(instructions())
    words = [word for word, _ in instructions()]
    assert words.index("ENV") < words.index("COPY") < words.index("RUN", words.index("COPY"))


def test_the_image_installs_what_pyproject_asks_for(tmp_path: Path):
    (line,) = [rest for rest in of("RUN") if rest.startswith("python -c")]
    program = re.match(r'python -c "(.*?)" > /tmp/requirements.txt', line)
    assert program
    run = subprocess.run([sys.executable, "-c", program[1]], cwd=ROOT, text=True, capture_output=True, check=True)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = run.stdout.splitlines()
    assert {"typer>=0.15", *extras["study"], *extras["kubernetes"]} <= set(asked)
    assert all(Requirement(line) for line in asked)


def test_the_image_runs_as_an_ordinary_user_and_holds_no_secret():
    assert of("USER")[-1] == "1000"
    text = (ROOT / "Dockerfile").read_text().lower()
    assert not re.search(r"token|secret|password|api_key|--trusted-host", text)
