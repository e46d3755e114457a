"""A very small study, and a copy of the checkout in which Snakemake is started as a user would."""

import copy
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from toy_texts import NAMES, sentences

ROOT = Path(__file__).parent.parent
CHECKOUT = ("Snakefile", "config.yaml", "configs", "rules", "workflow_scripts", "gendist", "profiles", "docs", "envs")

STUDY: dict[str, Any] = {
    "datasets": {
        "toy": {
            "train": "toy/train.csv",
            "test": "toy/test.csv",
            "text": "text",
            "label": "label",
            "train_per_class": 6,
            "synthetic": 8,
        }
    },
    "generators": {
        "tiny": {
            "model": "toy/generator",
            "epochs": 2,
            "learning_rate": 1.0e-2,
            "batch_size": 4,
            "unit": "examples",
            "trainable": "all",
            "gradient_checkpointing": False,
        }
    },
    "samplings": {"full": {"max_tokens": 12}, "cool": {"max_tokens": 12, "temperature": 0.7}},
    "teachers": {"bert": {"model": "toy/encoder", "epochs": 1, "refit": False, "max_tokens": 16}},
    "students": {
        "kim": {"architecture": "kim", "embeddings": "toy/subwords", "filters": 4},
        "res": {"architecture": "res", "embeddings": "toy/subwords"},
        "blend": {"architecture": "blend", "embeddings": "toy/subwords", "filters": 4, "distillation_loss": "mae"},
    },
    "trainings": {"default": {"epochs": 1, "min_steps": 3}},
    "counts": [4],
    "sampling_rows": 4,
    "seeds": 1,
    "shard_rows": 4,
    "export": {"enabled": False, "folds": 2},
}
"""Twenty kinds of jobs: 3 shards in two pools, 12 student runs."""


SMALL_STUDY: dict[str, Any] = {
    **STUDY,
    "counts": [],
    "systems": ["tfidf-svm", "teacher", "kim", "kim+dist", "kim+gendist"],
    "students": {"kim": STUDY["students"]["kim"]},
    "samplings": {"full": STUDY["samplings"]["full"]},
}
"""Every stage in 37 jobs."""


class Checkout:
    """A working directory with the workflow in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, study: dict[str, Any], name: str = "study.yaml") -> str:
        """Write a config; returns its name."""
        (self.folder / name).write_text(yaml.safe_dump(study, sort_keys=False))
        return name

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake in the folder; its two streams come back as one in ``stdout``."""
        # Nothing may be fetched: the hub's address leads nowhere.
        environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(self.folder / "no-hub")}
        environment.pop("HF_HUB_OFFLINE", None)
        command = [sys.executable, "-m", "snakemake", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def run(self, study: dict[str, Any], *targets: str) -> str:
        """Run a study for real; returns what was printed."""
        result = self.snakemake(
            "--cores", "2", "--configfile", self.write(study), *(["--", *targets] if targets else [])
        )
        assert result.returncode == 0, result.stdout
        return result.stdout

    def planned(self, study: dict[str, Any] | str) -> dict[str, int]:
        """Jobs by rule that a study (or a config file of the checkout) would run now, the target rule left out."""
        name = study if isinstance(study, str) else self.write(study, "planned.yaml")
        result = self.snakemake("--dry-run", "--cores", "2", "--configfile", name)
        assert result.returncode == 0, result.stdout
        if "Nothing to be done" in result.stdout:
            return {}
        stats = re.search(r"^Job stats:\n.*?\n-.*?\n(.*?)^total", result.stdout, re.MULTILINE | re.DOTALL)
        assert stats, result.stdout
        jobs = {rule: int(count) for rule, count in (line.split() for line in stats[1].splitlines())}
        return {rule: count for rule, count in jobs.items() if rule != "all"}

    def copy(self, folder: Path, keep_times: bool = True) -> "Checkout":
        """Copy everything, results and Snakemake's records included."""
        copier = shutil.copy2 if keep_times else shutil.copyfile
        shutil.copytree(self.folder, folder, copy_function=copier)
        return Checkout(folder)


def changed(**values: Any) -> dict[str, Any]:
    """The study with values of some keys replaced; entries of mappings are merged in."""
    study = copy.deepcopy(STUDY)
    for key, value in values.items():
        study[key] = {**study[key], **value} if isinstance(value, dict) else value
    return study


def entry(section: str, name: str, **values: Any) -> dict[str, Any]:
    """The study with values of one named entry replaced."""
    study = copy.deepcopy(STUDY)
    study[section][name].update(values)
    return study


def write_csv(path: Path, count: int, seed: int) -> None:
    """Write labelled toy sentences."""
    texts, labels = sentences(count, seed)
    rows = [f"{text},{NAMES[label]}\n" for text, label in zip(texts, labels, strict=True)]
    path.write_text("text,label\n" + "".join(rows))


COSTS = {"collect_costs": 1, "write_costs": 1, "draw_tradeoff": 1}
"""What joins the metrics and what was measured of a network, which other rows of its kind do not change."""
TABLES = {
    "write_table1": 1,
    "write_table2": 1,
    "write_gains": 1,
    "draw_figure2": 1,
    "draw_sampling": 1,
    "write_report": 1,
    **COSTS,
}
"""What reads the metrics."""
POOL = {"find_repeats": 1, "assess_pool": 1, "write_quality": 1, "draw_quality": 1}
"""What measures one pool of synthetic rows."""
SAMPLES = {"write_table3": 1, "write_table4": 1, "write_memorisation": 1, "write_report": 1, **POOL}
"""What reads the main pool of synthetic rows."""
SCORED = {name: count for name, count in POOL.items() if name != "find_repeats"}
"""What reads the teacher's logits of one pool."""
DETAILS = {"draw_details": 1}
"""What reads the predictions of the main gendist students."""
REPORT = {"write_run_config": 1, "collect_metrics": 1, **TABLES}
"""What follows whenever the study has one more run."""
