"""Log the runs of ``metrics.parquet`` to MLflow, each once."""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gendist import __version__
from gendist.analysis.metrics_table import MetricsRow, read_runs
from gendist.io.json_files import write_json
from gendist.naming import parse_variant

log = logging.getLogger(__name__)

TAG = "gendist.run"
"""MLflow tag with the key of a run: a hash of its params and scores."""
SCORE_COLUMNS = ("accuracy", "macro_f1", "nll", "ece")
METRIC_COLUMNS = (*SCORE_COLUMNS, "train_seconds", "n_parameters")
NAME_COLUMNS = ("dataset", "system", "student", "regime", "generator", "sampling", "teacher", "variant")
COUNT_COLUMNS = ("n_real", "n_synthetic", "n_unlabelled", "seed")
CONFIG_SECTIONS = {"generator": "generators", "sampling": "samplings", "teacher": "teachers", "student": "students"}
"""Columns that name an entry of a config section, with the section."""
PAGE_SIZE = 1000


@dataclass(frozen=True)
class MlflowRun:
    """One run as logged to MLflow."""

    name: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]

    @property
    def key(self) -> str:
        """Hash of params and scores; excludes the training time, which varies."""
        content = [sorted(self.params.items()), sorted((k, v) for k, v in self.metrics.items() if k in SCORE_COLUMNS)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def track_runs(metrics: Path, *, run_config: Path, uri: str, experiment: str, target: Path) -> None:
    """Log the new runs of a study, and write the keys of all its runs.

    An unreachable server or a missing package is logged as a warning: the results do not depend on tracking.

    Args:
        metrics: ``metrics.parquet``.
        run_config: the config of the study with all defaults.
        uri: MLflow tracking URI, or a folder.
        experiment: name of the experiment; created if missing.
        target: JSON to write: the experiment and the keys of its runs; no keys after a failure.

    Raises:
        GendistError: if the table is missing or damaged.
    """
    config = yaml.safe_load(run_config.read_text(encoding="utf-8"))
    mlflow_runs = [to_mlflow_run(run, config) for run in read_runs(metrics)]
    keys: list[str] = []
    try:
        logged = log_new_runs(mlflow_runs, uri, experiment)
        keys = sorted(mlflow_run.key for mlflow_run in mlflow_runs)
        log.info("%d runs in experiment %s, %d of them new", len(mlflow_runs), experiment, logged)
    except ModuleNotFoundError:
        log.warning("not tracked: MLflow is not installed (pip install 'gendist[tracking]')")
    except Exception as error:  # any error of the store or the network
        reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
        log.warning("not tracked: %s; retry with --forcerun track_runs", reason)
    write_json(target, {"experiment": experiment, "runs": keys})


def to_mlflow_run(run: MetricsRow, config: Mapping[str, Any]) -> MlflowRun:
    """Convert a row of ``metrics.parquet``; params include the config entries it names."""
    params = {name: str(run[name]) for name in (*NAME_COLUMNS, *COUNT_COLUMNS) if run.get(name) is not None}
    training = parse_variant(run["variant"]).training if run["student"] else None
    named = [(kind, section, run[kind]) for kind, section in CONFIG_SECTIONS.items()]
    for kind, section, name in [*named, ("training", "trainings", training)]:
        for key, value in config[section].get(name, {}).items() if name else ():
            params[f"{kind}.{key}"] = str(value)
    seed = "" if run["seed"] is None else f", seed {run['seed']}"
    measures = {name: float(run[name]) for name in METRIC_COLUMNS if run[name] is not None}
    return MlflowRun(f"{run['dataset']}: {run['system']}{seed}", params, measures)


def log_new_runs(mlflow_runs: list[MlflowRun], uri: str, experiment: str) -> int:
    """Log the runs missing from the experiment; return their number."""
    # MLflow retries seven times over minutes by default.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    if "://" not in uri:
        uri = Path(uri).resolve().as_uri()
    if uri.startswith("file:"):
        # File stores are deprecated, but mlflow-skinny has no database backend.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow.entities import Metric, Param
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(experiment)
    experiment_id = found.experiment_id if found else client.create_experiment(experiment)
    known_keys = _logged_keys(client, experiment_id)
    new = [mlflow_run for mlflow_run in mlflow_runs if mlflow_run.key not in known_keys]
    for mlflow_run in new:
        tags = {TAG: mlflow_run.key, "gendist.version": __version__}
        run = client.create_run(experiment_id, tags=tags, run_name=mlflow_run.name).info.run_id
        measures = [Metric(name, value, 0, 0) for name, value in mlflow_run.metrics.items()]
        client.log_batch(run, measures, [Param(name, value) for name, value in mlflow_run.params.items()])
        client.set_terminated(run)
    return len(new)


def _logged_keys(client: Any, experiment: str) -> set[str]:
    """Return the keys of completely logged runs."""
    keys: set[str] = set()
    token = None
    while True:
        page = client.search_runs(
            [experiment], "attributes.status = 'FINISHED'", max_results=PAGE_SIZE, page_token=token
        )
        keys |= {run.data.tags[TAG] for run in page if TAG in run.data.tags}
        token = page.token
        if not token:
            return keys
