"""Right after a run, the same study has nothing left to do."""

import copy
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml
from workflow_fixtures import COSTS, ROOT, STUDY, Checkout, changed, gendist

REAL = [ROOT / "configs/filters.yaml"]
"""Studies that are run at a small size: the one with most ways of training."""
PLANNED = [ROOT / f"{name}.yaml" for name in ("config", "configs/modern", "configs/paper", "configs/variants")]
"""Studies of which every job runs, without computing anything; other configs have no other kinds of jobs."""
STAND_IN = """from pathlib import Path

for file in snakemake.output:
    Path(file).write_text(file)
"""
"""In place of every script: Snakemake runs real jobs with real inputs and settings, of which none computes anything."""
MODULES = {"setfit": "setfit", "model2vec": "model2vec"}
"""What a baseline needs installed."""
EXPORTING = changed(export={"enabled": True})
EXPORTED = {"cross_fit": 2, "choose_student": 1, "export_student": 1, "measure_export": 1, "write_classifier_page": 1}
"""Jobs of an export of kim+gendist or res+gendist."""


def _weak(keep: dict[str, Any]) -> dict[str, Any]:
    """Lower the confidence that a filter asks for: an untrained teacher is sure of nothing."""
    return keep | {"min_confidence": 0.01} if "min_confidence" in keep else keep


def shrunk(config: dict[str, Any]) -> dict[str, Any]:
    """Give a study the toy data and models; its entries, systems and variants stay what they are."""
    small = {key: copy.deepcopy(value) for key, value in config.items() if key in ("systems", "curve_student")}
    toy = STUDY["datasets"]["toy"]
    small["datasets"] = {name: {**toy, "synthetic": 8} for name in config["datasets"]}
    sampled = {"max_tokens": 12}
    kept = ("temperature", "top_p", "top_k", "prompt_words")
    for section, entry in (("generators", "tiny"), ("teachers", "bert")):
        small[section] = dict.fromkeys(config.get(section, [entry]), STUDY[section][entry])
    small["samplings"] = {
        name: sampled | {key: value for key, value in values.items() if key in kept}
        for name, values in config.get("samplings", {"nucleus": {"top_p": 0.95}, "full": {}, "cool": {}}).items()
    }
    small["trainings"] = {
        name: {**values, "epochs": 1, "min_steps": 2, "batch_size": 2, "keep": _weak(values.get("keep", {}))}
        for name, values in config.get("trainings", {"default": {}}).items()
    }
    students = ("kim", "res", "blend", "bilstm", "bag")
    small["students"] = {
        name: {"architecture": name, "embeddings": "toy/subwords", "filters": 4}
        for name in config.get("students", students)
    }
    return {**small, "counts": [4], "sampling_rows": 4, "seeds": 1, "shard_rows": 4, "export": {"folds": 2}}


def few_jobs(config: dict[str, Any]) -> dict[str, Any]:
    """Lower a study's numbers of rows and seeds, and give it data files that are there; the rest stays as it is."""
    few = copy.deepcopy(config)
    toy = STUDY["datasets"]["toy"]
    few["datasets"] = {
        name: {**(dataset if "hub" in dataset else toy), "synthetic": 8} for name, dataset in config["datasets"].items()
    }
    return {**few, "counts": [4], "sampling_rows": 4, "seeds": 1, "shard_rows": 4}


@pytest.mark.slow
@pytest.mark.parametrize("config", PLANNED, ids=lambda path: path.stem)
def test_no_setting_or_input_of_a_study_changes_with_its_run(own: Checkout, config: Path):
    for script in (own.folder / "workflow_scripts").glob("*.py"):
        script.write_text(STAND_IN)
    study = few_jobs(yaml.safe_load(config.read_text()))
    own.run(study)
    assert own.planned(study) == {}


@pytest.mark.slow
@pytest.mark.parametrize("config", REAL, ids=lambda path: path.stem)
def test_a_study_of_the_checkout_is_up_to_date_after_its_run(own: Checkout, config: Path):
    study = shrunk(yaml.safe_load(config.read_text()))
    for baseline, module in MODULES.items():
        if baseline in study.get("systems", ()) and not importlib.util.find_spec(module):
            pytest.skip(f"{module} is not installed")
    name = own.write(study)
    ran = gendist(own, "run", name, "--cores", "2")
    assert ran.returncode == 0, ran.stdout
    assert gendist(own, "run", name, "--dry-run").stdout.splitlines()[-1] == "Everything is up to date."
    for dataset in study["datasets"]:
        model = f"results/{dataset}/export/model"
        assert f"gendist predict {model}\n" in ran.stdout
        assert (own.folder / model / "gendist-model.json").is_file()


def test_a_run_ends_with_the_export_and_is_then_up_to_date(finished: Checkout, tmp_path: Path):
    checkout = finished.copy(tmp_path / "checkout")
    study = checkout.write(EXPORTING)
    # The second reliability curve and the deployed size and latency need the export, the other figures do not.
    follows = {"write_run_config": 1, "draw_details": 1, "write_report": 1, **COSTS}
    assert checkout.planned(study) == EXPORTED | follows
    ran = gendist(checkout, "run", study, "--cores", "2")
    assert ran.returncode == 0, ran.stdout
    written, command, on_file = ran.stdout.splitlines()[-3:]
    assert written == "Classifier: results/toy/export/model/   Try it:"
    assert command == "  echo 'A text to label' | gendist predict results/toy/export/model"
    labelled = gendist(checkout, *on_file.replace("TEXTS.csv", "toy/test.csv").split()[1:])
    assert labelled.returncode == 0, labelled.stdout
    lines = (checkout.folder / "labels.csv").read_text().splitlines()
    assert lines[0] == "row,label,probability" and len(lines) == 1 + 15
    assert "temperature" in (checkout.folder / "results/figures/toy/reliability.csv").read_text()
    assert checkout.planned(study) == {}
    assert gendist(checkout, "run", study, "--cores", "2").stdout.startswith("Everything was up to date.")
    # Without the export, once more and then never again.
    assert set(checkout.planned(STUDY)) == set(follows)


def test_a_run_without_export_leaves_it_out_whatever_the_config_has(finished: Checkout):
    study = finished.write(EXPORTING, "exporting.yaml")
    ran = gendist(finished, "run", study, "--dry-run", "--no-export")
    assert ran.returncode == 0 and ran.stdout.splitlines()[-1] == "Everything is up to date."
