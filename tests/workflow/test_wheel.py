"""The package as `pip install` brings it: a wheel in an environment of its own, without the checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from workflow_fixtures import ROOT, STUDY, Checkout

MODEL = "results/toy/export/model"
SOURCES = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "data")


@pytest.fixture(scope="module")
def python(bare: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment into which the wheel is installed; all other packages are those of the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    source = bare.copy(folder / "source").folder  # a build leaves its own folders there
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(folder), str(source)], check=True)
    (wheel,) = folder.glob("gendist-*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    (packages,) = folder.glob("env/lib/python*/site-packages")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(packages), str(wheel)], check=True)
    (packages / "others.pth").write_text(f"{Path(torch.__file__).parents[1]}\n")
    return folder / "env/bin/python"


def gendist(python: Path, folder: Path, *arguments: str) -> str:
    """Run the command in a folder; return what it prints."""
    command = [str(python), "-m", "gendist", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run(command, cwd=folder, env=environment, text=True, stdout=-1, stderr=subprocess.STDOUT)
    assert run.returncode == 0, run.stdout
    return run.stdout


@pytest.mark.slow
def test_a_study_runs_from_the_wheel_and_its_model_predicts(python: Path, bare: Checkout, tmp_path: Path):
    snakefile = Path(gendist(python, tmp_path, "snakefile").strip())
    assert snakefile.is_file() and python.parents[1] in snakefile.parents
    shutil.copytree(bare.folder / "toy", tmp_path / "toy")
    study = {**STUDY, "systems": ["kim"], "counts": [], "seeds": 1}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    gendist(python, tmp_path, "run", "study.yaml", "--cores", "2", "--", f"{MODEL}/gendist-model.json")
    (tmp_path / "texts.txt").write_text("the wave fish tide sail\n")
    header, answer = gendist(python, tmp_path, "predict", MODEL, "texts.txt").splitlines()
    assert header == "row,label,probability" and answer.split(",")[1] in ("sea", "sky", "soil")


@pytest.mark.slow
def test_the_demo_overwrites_no_folder(python: Path, tmp_path: Path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/file").touch()
    with pytest.raises(AssertionError, match=r"error: taken: exists and is not a demo"):
        gendist(python, tmp_path, "demo", "taken")
