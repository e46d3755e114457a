"""The container recipe, without building it."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from workflow_fixtures import ROOT


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
    copies = [rest for rest in of("COPY") if not rest.startswith("--from=")]  # which copies from another image
    assert len(copies) == 2
    for rest in copies:
        for source in rest.split()[:-1]:
            assert source == "." or (source in copied() and (ROOT / source).exists())
    for path in copied():
        assert (ROOT / path).exists(), path
    needed = {"Snakefile", "rules", "workflow_scripts", "gendist", "config.yaml", "configs", "profiles", "envs"}
    assert needed <= set(copied()) and not {"results", "tests", ".git", ".venv", ".snakemake"} & set(copied())


def test_every_installation_is_pinned():
    (kubectl,) = [rest for rest in of("COPY") if rest.startswith("--from=")]
    assert re.fullmatch(r"--from=registry\.k8s\.io/kubectl:v1\.\d+\.\d+ /bin/kubectl /usr/local/bin/", kubectl)
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
