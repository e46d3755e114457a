"""Rows of the tidy table as runs of MLflow, each entered once."""

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
from gendist.io.files import write_json

log = logging.getLogger(__name__)

TAG = "gendist.run"
"""Tag by which a run is found again: a hash of its params and scores."""
SCORE_COLUMNS = ("accuracy", "macro_f1", "nll", "ece")
METRIC_COLUMNS = (*SCORE_COLUMNS, "train_seconds", "n_parameters")
NAME_COLUMNS = ("dataset", "system", "student", "regime", "generator", "sampling", "teacher", "variant")
COUNT_COLUMNS = ("n_real", "n_synthetic", "n_unlabelled", "seed")
CONFIG_SECTIONS = {"generator": "generators", "sampling": "samplings", "teacher": "teachers", "student": "students"}
"""Columns that name an entry of a section of the config."""
PAGE_SIZE = 1000


@dataclass(frozen=True)
class MlflowRun:
    """What MLflow is told of one run."""

    name: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]

    @property
    def key(self) -> str:
        """Hash of params and scores; the training's seconds differ each time and do not count."""
        told = [sorted(self.params.items()), sorted((k, v) for k, v in self.metrics.items() if k in SCORE_COLUMNS)]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def track_runs(metrics: Path, run_config: Path, uri: str, experiment: str, target: Path) -> None:
    """Enter every run of a study that is not there yet, and write which are there.

    A server that does not answer, or a missing package, is told in one line and is no error: the
    study's results do not depend on it.

    Args:
        metrics: the tidy table.
        run_config: the study's config with every default.
        uri: address of MLflow's server, or a folder.
        experiment: name of the experiment; it is made if missing.
        target: JSON to write: the experiment and the keys of its runs; none after a failure.

    Raises:
        GendistError: if the table is missing or damaged.
    """
    config = yaml.safe_load(run_config.read_text(encoding="utf-8"))
    entries = [to_mlflow_run(run, config) for run in read_runs(metrics)]
    keys: list[str] = []
    try:
        logged = log_new_runs(entries, uri, experiment)
        keys = sorted(entry.key for entry in entries)
        log.info("%d runs in experiment %s, %d of them new", len(entries), experiment, logged)
    except ModuleNotFoundError:
        log.warning("not tracked: MLflow is missing (pip install 'gendist[tracking]')")
    except Exception as error:  # whatever a store or a network may raise
        reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
        log.warning("not tracked: %s; try again with --forcerun track_runs", reason)
    write_json(target, {"experiment": experiment, "runs": keys})


def to_mlflow_run(run: MetricsRow, config: Mapping[str, Any]) -> MlflowRun:
    """Turn a row of the tidy table into an entry, with the settings that its names stand for."""
    params = {name: str(run[name]) for name in (*NAME_COLUMNS, *COUNT_COLUMNS) if run.get(name) is not None}
    training = (run["variant"] or "").rpartition(".")[2] if run["student"] else None
    named = [(kind, section, run[kind]) for kind, section in CONFIG_SECTIONS.items()]
    for kind, section, name in [*named, ("training", "trainings", training)]:
        for key, value in config[section].get(name, {}).items() if name else ():
            params[f"{kind}.{key}"] = str(value)
    seed = "" if run["seed"] is None else f", seed {run['seed']}"
    measures = {name: float(run[name]) for name in METRIC_COLUMNS if run[name] is not None}
    return MlflowRun(f"{run['dataset']}: {run['system']}{seed}", params, measures)


def log_new_runs(entries: list[MlflowRun], uri: str, experiment: str) -> int:
    """Enter the runs that the experiment does not have, and return how many these were."""
    # MLflow asks seven times over minutes by default; a study should not wait that long for it.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    if "://" not in uri:
        uri = Path(uri).resolve().as_uri()
    if uri.startswith("file:"):
        # MLflow would have databases instead, for which the small package lacks the parts.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow.entities import Metric, Param
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(experiment)
    place = found.experiment_id if found else client.create_experiment(experiment)
    there = _logged_keys(client, place)
    new = [entry for entry in entries if entry.key not in there]
    for entry in new:
        tags = {TAG: entry.key, "gendist.version": __version__}
        run = client.create_run(place, tags=tags, run_name=entry.name).info.run_id
        measures = [Metric(name, value, 0, 0) for name, value in entry.metrics.items()]
        client.log_batch(run, measures, [Param(name, value) for name, value in entry.params.items()])
        client.set_terminated(run)
    return len(new)


def _logged_keys(client: Any, experiment: str) -> set[str]:
    """Return the keys of the runs that were entered to their end."""
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
