"""Runs of a study in MLflow's file store: entered once, and never in the study's way."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from report_fixtures import run, write_metrics

from gendist.analysis.mlflow_tracking import TAG, track_runs
from gendist.config import study_from
from gendist.config.run_config import write_run_config
from gendist.config.tracking_settings import Tracking

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

ROWS = [
    run("news", "kim+gendist", 0.7, seed=0, count=100),
    run("news", "kim+gendist", 0.72, seed=1, count=100),
    run("news", "tfidf-svm", 0.6, seed=None),
]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    study = study_from({"datasets": {"news": {"train": "a.csv", "test": "b.csv"}}, "samplings": {"full": {}}})
    write_run_config(study.model_dump(mode="json"), tmp_path / "run_config.yaml")
    return tmp_path / "run_config.yaml"


def track(folder: Path, config: Path, rows: list[dict[str, Any]], uri: str | None = None) -> list[str]:
    """Enter rows and return the keys that the record names."""
    metrics = write_metrics(folder / "metrics.parquet", rows)
    track_runs(
        metrics,
        run_config=config,
        uri=uri or str(folder / "runs"),
        experiment="small study",
        target=folder / "tracking.json",
    )
    record = json.loads((folder / "tracking.json").read_text())
    assert record["experiment"] == "small study"
    return record["runs"]


def stored(folder: Path) -> list[Any]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=(folder / "runs").as_uri())
    experiment = client.get_experiment_by_name("small study")
    return client.search_runs([experiment.experiment_id])


def test_a_run_has_its_names_settings_and_scores(tmp_path: Path, config: Path):
    keys = track(tmp_path, config, ROWS)
    runs = {r.info.run_name: r for r in stored(tmp_path)}
    assert set(runs) == {"news: kim+gendist, seed 0", "news: kim+gendist, seed 1", "news: tfidf-svm"}
    one = runs["news: kim+gendist, seed 0"]
    assert one.info.status == "FINISHED"
    assert one.data.metrics["accuracy"] == 0.7
    assert one.data.params["system"] == "kim+gendist" and one.data.params["n_synthetic"] == "100"
    settings = yaml.safe_load(config.read_text())
    assert one.data.params["training.learning_rate"] == str(settings["trainings"]["default"]["learning_rate"])
    assert one.data.params["student.filters"] == "100" and one.data.params["sampling.top_p"] == "1.0"
    assert "student" not in runs["news: tfidf-svm"].data.params
    assert sorted(r.data.tags[TAG] for r in runs.values()) == keys


def test_a_run_is_entered_once_and_a_changed_one_anew(tmp_path: Path, config: Path):
    first = track(tmp_path, config, ROWS)
    slower = [{**row, "train_seconds": 99.0} for row in ROWS]
    assert track(tmp_path, config, slower) == first
    assert len(stored(tmp_path)) == 3
    track(tmp_path, config, [*ROWS[:2], {**ROWS[2], "accuracy": 0.61}])
    assert len(stored(tmp_path)) == 4


def test_a_run_that_was_broken_off_is_entered_again(tmp_path: Path, config: Path):
    from mlflow.tracking import MlflowClient

    track(tmp_path, config, ROWS)
    client = MlflowClient(tracking_uri=(tmp_path / "runs").as_uri())
    client.set_terminated(stored(tmp_path)[0].info.run_id, "FAILED")
    track(tmp_path, config, ROWS)
    assert sorted(r.info.status for r in stored(tmp_path)) == ["FAILED"] + ["FINISHED"] * 3


def test_a_server_that_does_not_answer_is_a_line_and_no_error(
    tmp_path: Path, config: Path, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING, "gendist"):
        assert track(tmp_path, config, ROWS, "http://127.0.0.1:9") == []
    (said,) = [record.getMessage() for record in caplog.records if record.name.startswith("gendist")]
    assert said.startswith("not tracked: ") and "\n" not in said


def test_tracking_is_off_by_default():
    assert study_from({"datasets": {"a": {"train": "a.csv", "test": "b.csv"}}}).tracking.mlflow is None


def test_a_password_does_not_get_into_the_config():
    with pytest.raises(ValidationError, match="MLFLOW_TRACKING_PASSWORD"):
        Tracking(mlflow="https://me:secret@server")
