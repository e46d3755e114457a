import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from gendist.config import study_from
from gendist.config.default_systems import PAPER_SYSTEMS
from gendist.config.study_plan import baseline_seeds
from gendist.errors import GendistError
from gendist.io.parquet import read_metadata
from gendist.naming import BASELINES
from gendist.nn.pretrained import load_encoder, load_tokenizer
from gendist.stages.baselines.encoder_lr import fit_encoder_lr, load_encoder_lr
from gendist.stages.baselines.linear_head import LinearHead, head_from_regression, load_head
from gendist.stages.baselines.model2vec import distil_static, fit_model2vec, load_model2vec
from gendist.stages.baselines.sentence_encoder import SentenceEncoder
from gendist.stages.baselines.setfit import fit_setfit, load_setfit
from gendist.stages.evaluation.collect_metrics import collect_metrics
from gendist.stages.texts.text_tables import read_texts


def needs(library: str) -> None:
    """Skip where an extra is not installed; these libraries' own deprecations are not ours to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(library, reason=f"the extra gendist[{library}] is not installed")


def metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def predicted(folder: Path) -> list[int]:
    return pq.read_table(folder / "predictions.parquet")["predicted"].to_pylist()


# --- the classifier ---


@pytest.mark.parametrize("classes", [2, 3])
def test_a_head_has_the_probabilities_of_its_regression(classes, tmp_path):
    random = np.random.default_rng(0)
    features, labels = random.normal(size=(40, 5)).astype(np.float32), np.arange(40) % classes
    regression = LogisticRegression().fit(features, labels)
    head = head_from_regression(regression, classes)
    assert head.weight.shape == (classes, 5) and head.n_parameters == 6 * classes
    probabilities = torch.softmax(torch.from_numpy(head.logits(features)), 1).numpy()
    np.testing.assert_allclose(probabilities, regression.predict_proba(features), atol=1e-5)


def test_a_class_without_rows_is_never_predicted():
    features, labels = np.eye(4, dtype=np.float32), np.array([0, 2, 0, 2])
    logits = head_from_regression(LogisticRegression().fit(features, labels), 4).logits(features)
    assert logits.shape == (4, 4) and np.isfinite(logits).all()
    assert set(logits.argmax(1)) == {0, 2}


def test_a_damaged_head_is_named(tmp_path):
    (tmp_path / "head.safetensors").write_bytes(b"nothing")
    with pytest.raises(GendistError, match=r"head\.safetensors: damaged"):
        load_head(tmp_path / "head.safetensors")
    with pytest.raises(GendistError, match=r"none\.safetensors: no such file"):
        load_head(tmp_path / "none.safetensors")


# --- the frozen encoder ---


def test_embeddings_are_unit_means_whatever_the_batch(encoder, test_texts):
    texts = read_texts(test_texts).texts
    embedded = SentenceEncoder(str(encoder)).embed([*texts, texts[0] * 30])  # one beyond the encoder's context
    assert embedded.shape == (31, 32) and embedded.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embedded, axis=1), 1, atol=1e-5)
    tokens = load_tokenizer(str(encoder))(texts[3], return_tensors="pt")
    with torch.inference_mode():
        states = load_encoder(str(encoder)).encoder.eval()(**tokens).last_hidden_state[0].mean(0)
    np.testing.assert_allclose(embedded[3], torch.nn.functional.normalize(states, dim=0), atol=1e-5)


@pytest.fixture(scope="module")
def encoder_run(encoder, train_texts, test_texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder-lr")
    fit_encoder_lr(train_texts, test_texts, folder, "toy", model=str(encoder))
    return folder


def test_encoder_lr_learns_and_counts_the_encoder(encoder_run, encoder):
    row = metrics(encoder_run)
    assert row["system"] == "encoder-lr" and row["seed"] is None and row["n_real"] == 36
    assert row["accuracy"] > 0.6  # a third by chance; the encoder is random
    body = sum(p.numel() for p in load_encoder(str(encoder)).encoder.parameters())
    assert row["n_parameters"] == body + 3 * 32 + 3
    provenance = read_metadata(encoder_run / "predictions.parquet")["gendist"]
    assert provenance["stage"] == "baselines" and list(provenance["source_models"]) == ["tiny-bert"]


def test_encoder_lr_is_deterministic(encoder_run, encoder, train_texts, test_texts, tmp_path):
    fit_encoder_lr(train_texts, test_texts, tmp_path, "toy", model=str(encoder))
    for name in ("predictions.parquet", "metrics.json", "head.safetensors"):
        assert (tmp_path / name).read_bytes() == (encoder_run / name).read_bytes(), name


def test_the_saved_encoder_lr_predicts_the_same(encoder_run, encoder, test_texts):
    loaded = load_encoder_lr(encoder_run, str(encoder))
    assert loaded.predict(read_texts(test_texts).texts).tolist() == predicted(encoder_run)
    names = {file.name for file in loaded.files}
    assert {"head.safetensors", "model.safetensors", "tokenizer.json"} <= names
    assert all(file.is_file() for file in loaded.files)


# --- model2vec ---


@pytest.fixture(scope="module")
def static(encoder, tmp_path_factory):
    needs("model2vec")
    folder = tmp_path_factory.mktemp("static") / "model2vec"
    distil_static(folder, str(encoder), width=16)
    return folder


def test_static_embeddings_are_the_same_each_time_and_name_no_place(static, encoder, tmp_path):
    distil_static(tmp_path / "again", str(encoder), width=16)
    names = {"config.json", "gendist.json", "model.safetensors", "tokenizer.json"}
    assert {file.name for file in static.iterdir()} == names
    for name in names:
        content = (static / name).read_bytes()
        assert content == (tmp_path / "again" / name).read_bytes(), name
        assert str(encoder.parent).encode() not in content


def test_model2vec_learns_and_its_saved_model_predicts_the_same(static, train_texts, test_texts, tmp_path):
    fit_model2vec(train_texts, test_texts, static=static, folder=tmp_path, dataset="toy")
    row = metrics(tmp_path)
    assert row["system"] == "model2vec" and row["seed"] is None
    assert row["accuracy"] > 0.9  # its weights by rarity are kept: without them it is near chance
    loaded = load_model2vec(tmp_path, static)
    assert loaded.predict(read_texts(test_texts).texts).tolist() == predicted(tmp_path)
    # A text without any known piece has an embedding too.
    assert loaded.predict(["", "\u2603"]).shape == (2,)


def test_missing_static_embeddings_are_named(static, train_texts, test_texts, tmp_path):
    with pytest.raises(GendistError, match="no static embeddings"):
        fit_model2vec(train_texts, test_texts, static=tmp_path / "none", folder=tmp_path, dataset="toy")


# --- SetFit ---

LIBRARY = "ignore::DeprecationWarning", "ignore::FutureWarning"


@pytest.mark.filterwarnings(*LIBRARY)
def test_setfit_is_saved_whole_and_without_pickle(encoder, train_texts, test_texts, tmp_path, capfd):
    needs("setfit")
    folder = tmp_path / "run"
    fit_setfit(train_texts, test_texts, folder, "toy", seed=0, model=str(encoder), steps=3)
    row = metrics(folder)
    assert row["system"] == "setfit" and row["seed"] == 0 and row["accuracy"] > 0.5
    body = sum(p.numel() for p in load_encoder(str(encoder)).encoder.parameters())
    assert row["n_parameters"] == body + 3 * 32 + 3
    assert {"config.json", "model.safetensors", "tokenizer.json", "head.safetensors"} < {
        f.name for f in folder.iterdir()
    }
    assert {file.suffix for file in folder.iterdir()} == {".json", ".safetensors", ".parquet"}
    loaded = load_setfit(folder)
    assert loaded.predict(read_texts(test_texts).texts).tolist() == predicted(folder)
    # It is another encoder now.
    embedded = [SentenceEncoder(str(place)).embed(["a wave"]) for place in (folder, encoder)]
    assert np.abs(embedded[0] - embedded[1]).max() > 1e-6


@pytest.mark.filterwarnings(*LIBRARY)
def test_setfit_repeats_itself(encoder, train_texts, test_texts, tmp_path):
    needs("setfit")
    for name in ("one", "two"):
        fit_setfit(train_texts, test_texts, tmp_path / name, "toy", seed=1, model=str(encoder), steps=2)
    for name in ("model.safetensors", "head.safetensors", "predictions.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


@pytest.mark.parametrize("library", ["setfit", "model2vec"])
def test_a_missing_extra_is_named_in_one_line(library, encoder, train_texts, test_texts, tmp_path, monkeypatch):
    for name in [library, *(name for name in sys.modules if name.startswith(f"{library}."))]:
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    with (
        warnings.catch_warnings(),
        pytest.raises(GendistError, match=rf"needs an extra: pip install 'gendist\[{library}\]'") as raised,
    ):
        warnings.simplefilter("ignore")
        if library == "setfit":
            fit_setfit(train_texts, test_texts, tmp_path / "run", "toy", seed=0, model=str(encoder), steps=1)
        else:
            distil_static(tmp_path / "run", str(encoder))
    assert "\n" not in str(raised.value) and not (tmp_path / "run").exists()


# --- in a study ---


def study(**values):
    return study_from({"datasets": {"a": {"train": "a.csv", "test": "b.csv"}}, **values})


def test_they_are_off_by_default_and_on_by_name():
    assert list(baseline_seeds(study())) == ["tfidf-svm", "fasttext"]
    seeds = baseline_seeds(study(systems=[*PAPER_SYSTEMS, *BASELINES[2:], "bilstm+gendist", "bag"], seeds=[3, 4]))
    assert seeds == {
        "tfidf-svm": [3],
        "fasttext": [3, 4],
        "encoder-lr": [3],
        "model2vec": [3],
        "setfit": [3, 4],
    }


def test_their_runs_fit_the_tidy_table(encoder_run, tmp_path):
    collect_metrics([encoder_run], tmp_path / "metrics.parquet")
    assert pq.read_table(tmp_path / "metrics.parquet")["system"].to_pylist() == ["encoder-lr"]


def test_a_head_is_plain_arrays(encoder_run):
    head = load_head(encoder_run / "head.safetensors")
    assert isinstance(head, LinearHead) and head.weight.shape == (3, 32) and head.bias.shape == (3,)
