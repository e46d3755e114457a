"""``gendist run --quick``, and the full run that continues from it."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

from workflow_fixtures import STUDY, Checkout, gendist

SHORT: dict[str, Any] = {
    **STUDY,
    "generators": {"tiny": {**STUDY["generators"]["tiny"], "epochs": 1}},
    "export": {"folds": 2},
    "systems": ["tfidf-svm", "kim", "kim+gendist", "res+gendist"],
    "seeds": 2,
}
"""A study whose teacher and generator are as short as quick ones."""
MODEL = "results/toy/export/model"


def test_a_full_run_continues_from_the_quick_one(own: Checkout):
    before = Counter(own.planned(SHORT))
    study = own.write(SHORT)
    planned = gendist(own, "run", study, "--quick", "--dry-run")
    assert "gendist run study.yaml --quick would run 12 jobs" in planned.stdout, planned.stdout
    assert not (own.folder / "results").exists()
    result = gendist(own, "run", study, "--quick", "--cores", "2")
    assert result.returncode == 0, result.stdout
    assert f"Classifier: {MODEL}/   Try it:" in result.stdout and f"predict {MODEL}" in result.stdout
    made = {path.relative_to(own.folder).as_posix() for path in (own.folder / "results").rglob("*") if path.is_file()}
    assert not any(re.search("figures|tables|report|baselines|metrics.parquet", path) for path in made)
    assert len([path for path in made if path.endswith("/student.json")]) == 1
    (own.folder / "texts.txt").write_text("the wave fish tide sail\n")
    labelled = gendist(own, "predict", MODEL, "texts.txt")
    assert labelled.stdout.splitlines()[1].split(",")[1] in ("sea", "sky", "soil"), labelled.stdout
    # All candidates are compared anew, with one more; nothing else of the quick run is made again.
    reused = before - Counter(own.planned(SHORT))
    assert reused == {
        "prepare_texts": 1,
        "finetune_generator": 1,
        "generate_shard": 2,
        "finetune_teacher": 1,
        "score_texts": 1,
        "score_shard": 2,
        "distil_student": 1,
        "cross_fit": 1,
    }
    again = gendist(own, "run", study, "--quick", "--cores", "2")
    assert "Everything was up to date." in again.stdout


def test_quick_without_an_export_is_refused(bare: Checkout, tmp_path: Path):
    checkout = bare.copy(tmp_path / "checkout")
    result = gendist(checkout, "run", checkout.write(SHORT), "--quick", "--no-export")
    assert result.stdout == "error: --quick ends with the export; remove --no-export, or --quick\n"
    assert not (checkout.folder / "results").exists()
