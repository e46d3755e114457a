"""What a public project's host reads: citation, changelog, CI and forms stay in step with the package."""

import re
import tomllib
from pathlib import Path

import yaml

from gendist import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def read_yaml(name: str) -> dict:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_citation_names_the_version_and_the_paper():
    citation = read_yaml("CITATION.cff")
    assert citation["version"] == __version__ and citation["license"] == PROJECT["license"]
    assert citation["preferred-citation"]["doi"] in (ROOT / "README.md").read_text(encoding="utf-8")


def test_ci_runs_on_the_pythons_of_the_metadata():
    versions = re.findall(r"Python :: (3\.\d+)", " ".join(PROJECT["classifiers"]))
    workflow = read_yaml(".github/workflows/ci.yml")
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == versions
    assert PROJECT["requires-python"] == f">={versions[0]}"


def test_ci_calls_targets_of_the_makefile():
    commands = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    targets = set(re.findall(r"run: make ([\w-]+)", commands))
    assert targets == {"test", "docs"}
    assert targets <= set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_the_changelog_has_the_version_or_its_draft():
    first = re.search(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert first and first[1].split(" ")[0] in ("Unreleased", __version__)


def test_the_forms_are_valid():
    for name in ("bug", "feature"):
        form = read_yaml(f".github/ISSUE_TEMPLATE/{name}.yml")
        assert {"name", "description", "body"} <= set(form)
        fields = [field["id"] for field in form["body"]]
        assert len(fields) == len(set(fields))


def test_the_catalog_entry_names_an_existing_deployment():
    deployment = read_yaml(".snakemake-workflow-catalog.yml")["usage"]["software-stack-deployment"]
    assert deployment["conda"] and any((ROOT / "envs").glob("*.yaml"))
