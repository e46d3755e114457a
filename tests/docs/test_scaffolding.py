"""What is written down twice (pyproject.toml, constraints.txt, envs/) stays in step."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def pins(lines: list[str]) -> dict[str, str]:
    """Canonical name and exact version of every ``name[extras]==version`` line."""
    matches = [re.fullmatch(r"([\w.-]+)(?:\[.*\])?==(\S+)", line.strip()) for line in lines]
    return {canonicalize_name(m[1]): m[2] for m in matches if m}


def constraints() -> dict[str, str]:
    return pins((ROOT / "constraints.txt").read_text().splitlines())


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def environment(name: str) -> list[str]:
    dependencies = yaml.safe_load((ROOT / "envs" / f"{name}.yaml").read_text())["dependencies"]
    return next(d for d in dependencies if isinstance(d, dict))["pip"]


def test_every_constraint_is_an_exact_public_version():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert len(pins(lines)) == len(lines)
    assert not any("+" in version for version in pins(lines).values()), (
        "a local version such as +cpu exists on no index"
    )


def runtime() -> list[Requirement]:
    """What a study runs on: the light core and the extra."""
    return [Requirement(r) for r in project()["dependencies"] + project()["optional-dependencies"]["study"]]


def test_the_core_is_light():
    heavy = {"torch", "transformers", "snakemake", "pandas", "scikit-learn"}
    extras = project()["optional-dependencies"]
    assert not heavy & {canonicalize_name(Requirement(r).name) for r in project()["dependencies"] + extras["predict"]}


@pytest.mark.parametrize("extra", [None, *project()["optional-dependencies"]])
def test_constraints_pin_what_pyproject_asks_for(extra: str | None):
    asked = project()["dependencies"] if extra is None else project()["optional-dependencies"][extra]
    pinned = constraints()
    for requirement in map(Requirement, asked):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} has no pin in constraints.txt"
        assert requirement.specifier.contains(version), f"{requirement} does not accept the pin {version}"


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_conda_environments_hold_every_runtime_dependency(name: str):
    pinned = pins(environment(name))
    wanted = {canonicalize_name(r.name): str(r.extras) for r in runtime()}
    assert set(pinned) == set(wanted)
    assert pinned == {package: constraints()[package] for package in wanted}
    listed = [Requirement(r) for r in environment(name) if not r.startswith("--")]
    assert {canonicalize_name(r.name): str(r.extras) for r in listed} == wanted


def test_make_help_lists_every_target():
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert {target for target in targets if f"make {target} " not in listed} == set()


@pytest.mark.parametrize(
    ("python", "said"),
    [("no-such-python", "install Python 3.11"), ("./old", "is too old"), ("./bare", "has no venv module")],
)
def test_make_says_in_one_line_what_the_machine_lacks(tmp_path: Path, python: str, said: str):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    # Stand-ins for an interpreter: --version answers, and the check that is meant to fail fails.
    for stand_in, failing in (("old", "version_info"), ("bare", "ensurepip")):
        file = tmp_path / stand_in
        file.write_text(f'#!/bin/sh\ncase "$*" in --version) echo Python 3.x;; *{failing}*) exit 1;; esac\n')
        file.chmod(0o755)
    # Without what `make test` hands down to makes of its own, which would announce themselves.
    alone = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    command = ["make", "run", f"PYTHON={python}"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=alone)
    assert result.returncode != 0
    assert said in result.stdout
    assert len(result.stdout.splitlines()) == 1
