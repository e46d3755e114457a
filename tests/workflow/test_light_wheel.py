"""The light distribution: prediction alone, in an environment that has NumPy and safetensors and nothing else."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from workflow_fixtures import ROOT

from gendist import TextClassifier

pytestmark = pytest.mark.slow  # the build is isolated and installs setuptools

MAX_BYTES = 80_000_000
"""Size of the installation, NumPy included."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Site-packages with the wheel; its two dependencies are copies of those of the tests: nothing is downloaded."""
    folder = tmp_path_factory.mktemp("light")
    ignored = shutil.ignore_patterns("__pycache__", "build", "*.egg-info", "models")
    for name in ("gendist", "distributions"):  # a build leaves its own folders there
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=ignored)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    source = folder / "source/distributions/predict"
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(folder), str(source)], check=True)
    (wheel,) = folder.glob("gendist_predict-*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    (packages,) = folder.glob("env/lib/python*/site-packages")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(packages), str(wheel)], check=True)
    for name in ("numpy", "safetensors"):
        for file in importlib.metadata.files(name) or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                (packages / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(str(file.locate()), packages / file)
    return packages


def run(packages: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    python = packages.parents[2] / "bin/python"
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # Elsewhere than in the checkout, from which `python -c` would import.
    return subprocess.run([python, *arguments], cwd=packages.parents[2], env=kept, text=True, capture_output=True)


def test_the_installation_is_small(environment: Path):
    assert run(environment, "-m", "compileall", "-q", str(environment)).returncode == 0  # as pip does
    size = sum(file.stat().st_size for file in environment.rglob("*") if file.is_file())
    assert size <= MAX_BYTES, f"{size / 1e6:.1f} MB"
    own = sum(file.stat().st_size for file in (environment / "gendist").rglob("*") if file.is_file())
    assert own < 500_000


def test_it_predicts_as_the_full_package(environment: Path, exported: Path, tmp_path: Path):
    texts = ["the wave, the TIDE", "a wíng of the star", "", "stone 42 中"]
    (tmp_path / "texts.txt").write_text("\n".join(texts) + "\n")
    command = environment / "bin/gendist-predict"
    result = run(environment, str(command), str(exported), "--all", str(tmp_path / "texts.txt"))
    assert result.returncode == 0 and result.stderr == "", result.stderr
    header, *rows = (line.split(",") for line in result.stdout.splitlines())
    expected = TextClassifier.load(exported)
    assert [row[1] for row in rows] == expected.predict(texts).tolist()
    columns = header[3:]
    assert len(columns) == 3
    found = [[float(value) for value in row[3:]] for row in rows]
    assert found == expected.predict_proba(texts).round(6).tolist()


def test_python_and_what_is_missing(environment: Path, exported: Path):
    script = (
        "import sys\nfrom gendist.predict import TextClassifier\nfrom gendist import GendistError\n"
        "classifier = TextClassifier.load(sys.argv[1])\nprint(classifier.predict(['the wave and the tide'])[0])\n"
        "try:\n    TextClassifier.load(sys.argv[1], int8=False)\nexcept GendistError as error:\n    print(error)\n"
        "try:\n    from gendist import Classifier\nexcept ImportError as error:\n    print(error)\n"
    )
    result = run(environment, "-c", script, str(exported))
    assert result.stdout.splitlines() == [
        "sea",
        "float32, and students without look-up tables, need ONNX Runtime: pip install onnxruntime (extra 'onnx')",
        "gendist.Classifier needs gendist.classifier: pip install 'gendist[study]'",
    ], result.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["rows.parquet"], 1, "error: Parquet needs pyarrow: pip install pyarrow (extra 'parquet')"),
        (["none.csv"], 1, "error: none.csv: no such file"),
        (["--thresold", "0.5"], 2, "gendist-predict: error: unrecognized arguments: --thresold"),
        (["--threshold", "2"], 2, "gendist-predict: error: argument --threshold: 2 is not accepted: expected a number"),
    ],
)
def test_mistakes_are_one_line(environment: Path, exported: Path, arguments: list[str], status: int, message: str):
    command = environment / "bin/gendist-predict"
    result = run(environment, str(command), str(exported), *arguments)
    assert result.returncode == status and result.stdout == ""
    assert result.stderr.splitlines()[-1].startswith(message)
