"""The notebooks of ``examples/`` run from top to bottom, at tiny size."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from chat_fixtures import make_llama
from chat_server import chat_server
from workflow_fixtures import ROOT, STUDY, Checkout, write_csv

from gendist.config import load_study
from gendist.predict import TextClassifier

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
CELL = re.compile(r"^# %%", re.MULTILINE)
PARAMETERS = '# %% tags=["parameters"]\n'


def parameters(source: str) -> set[str]:
    """Names that the tagged cell assigns."""
    cell = CELL.split(source.split(PARAMETERS)[1])[0]
    targets = [target for node in ast.parse(cell).body for target in node.targets]  # type: ignore[attr-defined]
    return {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}


def run(example: str, folder: Path, **changed: Any) -> str:
    """Run an example in a folder, its parameters followed by a cell of others as Papermill does; returns its output."""
    source = (ROOT / "examples" / example).read_text(encoding="utf-8")
    assert set(changed) <= parameters(source)
    values = "".join(f"{name} = {value!r}\n" for name, value in changed.items())
    cells = CELL.split(source)[1:]
    (place,) = (i for i, text in enumerate(cells) if text.startswith(' tags=["parameters"]'))
    cells.insert(place + 1, f"\n{values}\n")
    script = folder / example
    script.write_text("".join(f"# %%{text}" for text in cells), encoding="utf-8")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "MPLBACKEND": "Agg", "HF_ENDPOINT": "http://127.0.0.1:9"}
    environment["HF_HOME"] = str(folder / "no-hub")
    ran = subprocess.run(
        [sys.executable, script.name],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


def tiny(toy: Path, *sections: str) -> dict[str, Any]:
    """Sections of the tiny study, with the absolute paths of its models."""
    found: dict[str, Any] = {"trainings": {"default": {"epochs": 1, "min_steps": 3}}, "shard_rows": 8}
    found["samplings"] = {"nucleus": {"max_tokens": 12, "top_p": 0.95}}
    found["teachers"] = {"bert": {**STUDY["teachers"]["bert"], "model": str(toy / "encoder")}}
    found["students"] = {"kim": {**STUDY["students"]["kim"], "embeddings": str(toy / "subwords")}}
    if "generators" in sections:
        found["generators"] = {"tiny": {**STUDY["generators"]["tiny"], "epochs": 1, "model": str(toy / "generator")}}
    return found


def files(toy: Path) -> dict[str, Any]:
    return {"TRAIN": str(toy / "train.csv"), "TEST": str(toy / "test.csv"), "PER_CLASS": 6, "OUT": "out"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_notebooks_in_percent_format(path: Path):
    source = path.read_text(encoding="utf-8")
    assert source.startswith("# %% [markdown]\n# # ") and f"`{path.name}`" in (ROOT / "examples/README.md").read_text()
    cells = CELL.split(source)[1:]
    kinds = [cell.partition("\n")[0].strip() for cell in cells]
    assert set(kinds) == {"", "[markdown]", 'tags=["parameters"]'}
    assert kinds.count('tags=["parameters"]') == 1
    texts = [cell for cell, kind in zip(cells, kinds, strict=True) if kind == "[markdown]"]
    assert len(texts) >= 5
    for text in texts:
        assert all(line == "" or line == "#" or line.startswith("# ") for line in text.split("\n")[1:]), text


@pytest.mark.parametrize("name", ["ablation", "hub_models_lora"])
def test_default_parameters_make_a_study_of_the_repository_s_data(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    before, command, _ = (ROOT / f"examples/{name}.py").read_text(encoding="utf-8").partition('gendist("run", config)')
    assert command
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(before, found)
    study = load_study(found["config"])
    assert len(study.trainings) == len(study.samplings) == 1  # so that one variant has one number of a student
    news = study.datasets["news"]
    for file in (news.train, news.test):
        assert file and (ROOT / "examples" / file).is_file()


@pytest.mark.slow
def test_ablation(bare: Checkout, tmp_path: Path):
    toy = bare.folder / "toy"
    changes = {**tiny(toy, "generators"), "seeds_together": 3}
    printed = run("ablation.py", tmp_path, COUNTS=[4, 8], SEEDS=3, CHANGES=changes, **files(toy))
    runs = pd.read_parquet(tmp_path / "out/results/metrics.parquet")
    curve = runs[runs["system"] == "kim+synthetic"]
    assert curve.groupby("n_synthetic").size().to_dict() == {4: 3, 8: 3}
    accuracy = runs[runs["system"].isin(["kim", "kim+dist"])].groupby("system")["accuracy"].mean() * 100
    gain = accuracy["kim+dist"] - accuracy["kim"]
    assert f"kim -> kim+dist: {gain:+.1f} points (paired t-test over 3 seeds: p = " in printed
    assert (tmp_path / "out/figure2.png").stat().st_size > 10_000
    # Another number of rows: generated and scored rows stay.
    more = printed.split("out/more.yaml: ")[1]
    assert " 1 students job (news/students/kim/synthetic/bert.tiny.nucleus.default/n6/seeds): not made yet" in more
    assert "synthetic      1 of 1\n" in more and "logits         3 of 3\n" in more


@pytest.mark.slow
def test_own_csv(gpt2: Path, encoder: Path, tmp_path: Path):
    write_csv(tmp_path / "toy.csv", 36, 0)
    generator = {**STUDY["generators"]["tiny"], "model": str(gpt2)}
    teacher = {**STUDY["teachers"]["bert"], "model": str(encoder)}
    printed = run("own_csv.py", tmp_path, FILE="toy.csv", OUT="out", ROWS=8, GENERATOR=generator, TEACHER=teacher)
    assert "probability >= 0.9: " in printed
    labelled = pd.read_csv(tmp_path / "out/labels.csv")
    texts = pd.read_csv(tmp_path / "out/texts.csv")
    expected = TextClassifier.load(tmp_path / "out/model").predict(texts["text"].tolist())
    assert labelled["label"].tolist() == expected.tolist() and len(labelled) == 8
    assert labelled["input_label"].tolist() == texts["label"].tolist()
    assert (tmp_path / "out/classifier.html").read_bytes().startswith(b"<!doctype html>")


@pytest.mark.slow
def test_hub_models_lora(bare: Checkout, tmp_path: Path):
    pytest.importorskip("peft", reason="needs the extra 'lora'")
    pytest.importorskip("openai", reason="needs the extra 'endpoint'")
    toy, model = bare.folder / "toy", str(make_llama(tmp_path / "chat"))
    with chat_server() as server:
        endpoint = {"url": server.url, "model": "served"}
        printed = run(
            "hub_models_lora.py",
            tmp_path,
            LORA_MODEL=model,
            CHAT_MODEL=model,
            ENDPOINT=endpoint,
            ROWS=8,
            SEEDS=1,
            CHANGES={**tiny(toy), "systems": ["kim+gendist"]},
            **files(toy),
        )
        assert len(server.requests) == 8
    runs = pd.read_parquet(tmp_path / "out/results/metrics.parquet")
    assert set(runs.loc[runs["regime"] == "gendist", "generator"]) == {"tuned", "chat", "api"}
    assert "the wave and the" in printed.split("\napi\n")[1]  # a text of the server
