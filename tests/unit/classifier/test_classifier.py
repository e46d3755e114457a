"""``gendist.Classifier``: scikit-learn's interface, checks of texts and labels, and the run of a fit."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from toy_texts import NAMES, sentences

from gendist import Classifier, TextClassifier
from gendist.classifier import training_run
from gendist.classifier.training_folder import MODEL
from gendist.config import load_study
from gendist.errors import GendistError
from gendist.launcher.data_checks import require_data

TEXTS, CODES = sentences(36, 0)
LABELS = [NAMES[code] for code in CODES]


@pytest.fixture
def fits(exported: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Fits take the exported model of the tests in place of a run; returns what was asked of each."""
    asked: list[dict[str, Any]] = []

    def run(folder: Path, *, quick: bool, cores: int | None, show: Any) -> None:
        study = load_study(folder / "study.yaml")
        monkeypatch.chdir(folder)
        rows = require_data(study)["data"]  # the files are such that a study accepts them
        asked.append({"study": study, "quick": quick, "cores": cores, "rows": rows})
        shutil.copytree(exported, folder / MODEL, dirs_exist_ok=True)
        written = {json.loads(line)["label"] for line in (folder / "train.jsonl").read_text().splitlines()}
        description = folder / MODEL / "gendist-model.json"
        labels = NAMES if written == set(NAMES) else sorted(written, reverse=True)
        description.write_text(json.dumps({**json.loads(description.read_text()), "labels": labels}))

    monkeypatch.setattr(training_run, "run_training", run)
    return asked


def fitted(**options: Any) -> Classifier:
    return Classifier(**options).fit(TEXTS, LABELS)


# --- scikit-learn ---


def test_labels_and_probabilities_are_those_of_the_exported_model(fits: list, exported: Path):
    classifier, expected = fitted(), TextClassifier.load(exported)
    assert classifier.classes_.tolist() == ["sea", "sky", "soil"]
    np.testing.assert_array_equal(classifier.predict(TEXTS), expected.predict(TEXTS))
    np.testing.assert_array_equal(classifier.predict_proba(TEXTS), expected.predict_proba(TEXTS))
    assert classifier.score(TEXTS, LABELS) > 0.9
    assert fits[0]["quick"] is True and fits[0]["rows"] == 36 - 3 * 4  # a third of twelve held out


@pytest.mark.parametrize(
    "kind", [np.array, pd.Series, lambda rows: pd.Series(rows, index=range(99, 99 - len(rows), -1))]
)
def test_arrays_and_series_are_as_lists(fits: list, kind: Any):
    texts, labels = kind(TEXTS), kind(LABELS)
    classifier = Classifier().fit(texts, labels)
    np.testing.assert_array_equal(classifier.predict(texts), fitted().predict(TEXTS))
    assert fits[0]["study"] == fits[1]["study"]


@pytest.mark.parametrize("values", [[30, 4, 100], [2.0, 1.0, 3.0]])
def test_predictions_have_the_type_of_the_labels(fits: list, tmp_path: Path, values: list):
    labels = [values[code] for code in CODES]
    classifier = Classifier().fit(TEXTS, labels)
    assert classifier.classes_.tolist() == sorted(values) and classifier.classes_.dtype == np.array(values).dtype
    assert set(classifier.predict(TEXTS).tolist()) <= set(values)
    # Columns follow classes_, whatever the order in the model: names in descending order, in this one.
    order = [sorted(map(str, values), reverse=True).index(str(value)) for value in sorted(values)]
    classifier.save(tmp_path / "model")
    saved = TextClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(classifier.predict_proba(TEXTS), saved.predict_proba(TEXTS)[:, order])
    again = Classifier.from_pretrained(tmp_path / "model")
    assert again.classes_.tolist() == sorted(values)
    np.testing.assert_array_equal(again.predict(TEXTS), classifier.predict(TEXTS))


def test_clones_pickles_and_saved_models(fits: list, tmp_path: Path):
    options = {"quick": False, "students": ("kim", "res"), "rows": 700, "random_state": 3, "verbose": False}
    classifier = fitted(**options)
    assert clone(classifier).get_params() == classifier.get_params() == {**Classifier().get_params(), **options}
    with pytest.raises(NotFittedError):
        clone(classifier).predict(TEXTS)
    expected = classifier.predict_proba(TEXTS)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(classifier)).predict_proba(TEXTS), expected)
    classifier.save(tmp_path / "model")
    classifier.save(tmp_path / "model")
    np.testing.assert_array_equal(Classifier.from_pretrained(tmp_path / "model").predict_proba(TEXTS), expected)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").touch()
    with pytest.raises(GendistError, match="other: exists and is not an exported model"):
        classifier.save(tmp_path / "other")
    with pytest.raises(GendistError, match="nowhere: no such folder, and not an id of the hub"):
        Classifier.from_pretrained("nowhere")


def test_a_model_of_the_hub_is_downloaded(exported: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []

    def download(repository: str, **_: Any) -> str:
        asked.append(repository)
        if repository != "me/toy":
            raise OSError("401 Client Error\nmore")
        return str(exported)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    found = Classifier.from_pretrained("me/toy")
    np.testing.assert_array_equal(found.predict(TEXTS), TextClassifier.load(exported).predict(TEXTS))
    with pytest.raises(GendistError, match=r"^me/none: no such folder, and the hub has no .* \(401 Client Error\)$"):
        Classifier.from_pretrained("me/none")
    assert asked == ["me/toy", "me/none"]


def test_it_works_in_pipelines_and_cross_validation(fits: list):
    pipeline = Pipeline([("lower", FunctionTransformer(lambda texts: [t.lower() for t in texts])), ("c", Classifier())])
    scores = cross_val_score(pipeline, np.array(TEXTS), np.array(LABELS), cv=3)
    assert scores.shape == (3,) and scores.min() > 0.8 and len(fits) == 3


# --- the study ---


def test_options_become_the_config(fits: list, gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(gpt2.parent)
    options: dict[str, Any] = {"quick": False, "students": ["kim", "res"], "rows": 700, "random_state": 3, "cores": 1}
    classifier = Classifier(generator=gpt2.name, teacher={"model": "minilm", "epochs": 1}, **options)
    test = (["the wave and the tide"], ["sea"])
    classifier.fit(TEXTS, LABELS, unlabelled=["the star", "the moon", TEXTS[0]], test=test)
    asked = fits[0]
    study = asked["study"]
    assert study.systems == ["kim+gendist+unlabelled", "res+gendist+unlabelled"] == study.export.systems
    assert (study.seed_list, asked["cores"], asked["quick"], asked["rows"]) == ([3], 1, False, 36)
    assert study.generators["given"].model == str(gpt2) and study.teachers["given"].epochs == 1
    dataset = study.datasets["data"]
    assert (dataset.synthetic, dataset.unlabelled_rows) == (700, 2)  # one is a training text


def test_settings_that_are_no_paths_stay_beside_files_of_their_names(
    fits: list, gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").mkdir()
    fitted(generator={"model": str(gpt2), "unit": "examples"})
    assert fits[0]["study"].generators["given"].unit == "examples"


def test_names_of_embedded_models_are_no_folders(fits: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pocket").mkdir()
    fitted(generator="pocket")
    assert fits[0]["study"].generators["given"].model == "pocket"


def test_a_second_fit_in_a_folder_leaves_equal_files_alone(fits: list, tmp_path: Path):
    work = tmp_path / "work"
    fitted(work_dir=work)
    times = {path: path.stat().st_mtime_ns for path in work.glob("*.*")}
    assert {path.name for path in times} == {"study.yaml", "train.jsonl", "test.jsonl"}
    fitted(work_dir=work)
    assert {path: path.stat().st_mtime_ns for path in work.glob("*.*")} == times
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes").touch()
    with pytest.raises(ValueError, match="mine exists and is not of an earlier fit"):
        fitted(work_dir=tmp_path / "mine")


def replaced(values: list, row: int, value: Any) -> list:
    return [*values[:row], value, *values[row + 1 :]]


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        (replaced(TEXTS, 4, None), LABELS, r"^text 4 is missing \(None\)$"),
        (pd.Series(replaced(TEXTS, 4, float("nan"))), LABELS, r"^text 4 is missing \(nan\)$"),
        (replaced(TEXTS, 5, 7), LABELS, "^text 5 is of type int, expected str$"),
        (replaced(TEXTS, 6, " "), LABELS, "^text 6 is empty$"),
        (replaced(TEXTS, 6, "a\0b"), LABELS, "^text 6 has a NUL character"),
        ("one text", LABELS, "expected a sequence of texts, got one string"),
        (np.array([TEXTS, TEXTS]), LABELS, r"expected texts of shape \(rows,\) or \(rows, 1\), got \(2, 36\)"),
        (TEXTS, LABELS[:-1], "^36 texts, but 35 labels$"),
        (TEXTS, replaced(LABELS, 7, None), r"^label 7 is missing \(None\)$"),
        (TEXTS, replaced(LABELS, 7, ""), r"^label 7 is missing \(''\)$"),
        (TEXTS, pd.Series(replaced(LABELS, 8, pd.NA), dtype="string"), r"^label 8 is missing \(<NA>\)$"),
        (TEXTS, replaced(LABELS, 9, 1), "^label 9 is of type int, but label 0 is of type str$"),
        (TEXTS, replaced(LABELS, 9, b"sea"), "^label 9 is of type bytes, expected str, bool, int, float$"),
        (TEXTS, replaced(LABELS, 10, "moor"), r"^class 'moor' has 1 row \(row 10\); every class needs at least 2$"),
        (TEXTS, ["sea"] * 36, r"^only one class \(sea\)"),
        (TEXTS, np.linspace(0, 1, 36), "Unknown label type: continuous"),
        (TEXTS, replaced(replaced(LABELS, 1, " sea"), 2, " sea"), "^two classes have the name 'sea'"),
    ],
)
def test_errors_name_the_row_and_the_reason(fits: list, texts: Any, labels: Any, message: str):
    with pytest.raises(ValueError, match=message):
        Classifier().fit(texts, labels)
    assert fits == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"test": (["a"], ["moor"])}, r"^test label 0 \('moor'\) has no training row; known: sea, sky, soil$"),
        ({"test": (["a", ""], ["sea", "sea"])}, "^test text 1 is empty$"),
        ({"test": (["a"], [])}, "^1 texts, but 0 test labels$"),
        ({"test": ["a"]}, r"^test: expected \(texts, labels\)$"),
        ({"unlabelled": ["a", None]}, r"^unlabelled text 1 is missing \(None\)$"),
        ({"unlabelled": TEXTS}, "^every unlabelled text is also a training or a test text"),
    ],
)
def test_other_rows_are_checked_too(fits: list, given: dict, message: str):
    with pytest.raises(ValueError, match=message):
        Classifier().fit(TEXTS, LABELS, **given)
    assert fits == []


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rows": 501}, ValueError, "rows=501 needs quick=False"),
        ({"students": ["kim", "res"]}, ValueError, "quick=True trains one student, not 2"),
        ({"students": []}, ValueError, "students is empty"),
        ({"students": ["kin"]}, GendistError, r"system 'kin\+gendist' is unknown"),
        ({"teacher": {"model": "minilm", "epoch": 1}}, GendistError, "teachers.given.epoch"),
        ({"rows": -1}, GendistError, "datasets.data.synthetic"),
    ],
)
def test_options_are_checked(fits: list, options: dict, error: type[Exception], message: str, tmp_path: Path):
    with pytest.raises(error, match=message):
        fitted(work_dir=tmp_path / "work", **options)
    assert fits == [] and not (tmp_path / "work").exists()


# --- the run ---


def stand_in(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.setattr(training_run, "COMMAND", (sys.executable, "-c", script))


def test_progress_is_shown_and_a_failure_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    stand_in(
        monkeypatch, "import sys; print('3 jobs'); print('failed: data/texts: empty'); print(sys.argv[1:]); sys.exit(1)"
    )
    shown: list[str] = []
    with pytest.raises(GendistError, match=r"^fit failed: failed: data/texts: empty \(logs: .*/results/logs\)$"):
        training_run.run_training(tmp_path, quick=True, cores=2, show=shown.append)
    assert shown == ["3 jobs", "failed: data/texts: empty", "['run', 'study.yaml', '--quick', '--cores', '2']"]


def test_an_interrupt_waits_for_the_run_to_stop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    stand_in(
        monkeypatch,
        "import signal, sys, time\n"
        "def stop(*_):\n    time.sleep(0.5); open('stopped', 'w').close(); print('kept'); sys.exit(130)\n"
        "signal.signal(signal.SIGINT, stop)\nprint('ready')\ntime.sleep(60)\n",
    )
    shown: list[str] = []
    main = threading.main_thread().ident

    def show(line: str) -> None:
        shown.append(line)
        if line == "ready":
            threading.Timer(0.2, lambda: signal.pthread_kill(main, signal.SIGINT)).start()

    began = time.monotonic()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            training_run.run_training(tmp_path, quick=True, cores=None, show=show)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "stopped").exists() and shown == ["ready", "kept"] and time.monotonic() - began < 30


def test_importing_the_package_loads_nothing_else():
    script = (
        "import sys, gendist; gendist.__version__\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'numpy', 'sklearn', 'torch', 'yaml', 'typer'}))\n"
        "from gendist.predict import TextClassifier; from gendist import Classifier\n"
        "print('torch' in sys.modules, Classifier.__name__, TextClassifier.__name__)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.stdout == "[]\nFalse Classifier TextClassifier\n", run.stderr


@pytest.mark.slow
def test_an_interrupted_fit_resumes_and_a_third_one_is_up_to_date(
    gpt2: Path, encoder: Path, tmp_path: Path, capsys: Any
):
    models = {
        "generator": {"model": str(gpt2), "epochs": 1, "unit": "examples", "batch_size": 4, "trainable": "all"},
        "teacher": {"model": str(encoder), "epochs": 1, "refit": False, "max_tokens": 16},
    }
    options: dict[str, Any] = {
        "students": "kim-general",
        "rows": 8,
        "cores": 2,
        "work_dir": tmp_path / "work",
        **models,
    }
    results = tmp_path / "work/results"
    texts = results / "data/texts/train.parquet"

    def interrupt() -> None:
        while not list(results.glob("logs/data/*/*.log")):  # of the first job after the texts
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        Classifier(**options).fit(TEXTS, LABELS, unlabelled=["the star", "the moon and the tide"])
    out, made = capsys.readouterr().out, texts.stat().st_mtime_ns
    assert "Interrupted: " in out and "export done" not in out
    classifier = Classifier(**options).fit(TEXTS, LABELS, unlabelled=["the star", "the moon and the tide"])
    assert "export done" in capsys.readouterr().out and texts.stat().st_mtime_ns == made
    proba = classifier.predict_proba(["the wave, the fish", "the wing of the star"])
    assert proba.shape == (2, 3) and proba.sum(1) == pytest.approx(1)
    assert set(classifier.predict(TEXTS)) <= set(NAMES)
    Classifier(**options).fit(TEXTS, LABELS, unlabelled=["the star", "the moon and the tide"])
    assert "Everything was up to date." in capsys.readouterr().out
    config = yaml.safe_load((tmp_path / "work/study.yaml").read_text())
    assert config["systems"] == ["kim-general+gendist+unlabelled"]
