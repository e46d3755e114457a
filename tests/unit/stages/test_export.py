"""The choice on held-out rows, the temperature, and the ONNX files."""

import json
import logging
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow.parquet as pq
import pytest
import torch
from tiny_stages import write_texts
from toy_texts import NAMES, sentences
from typer.testing import CliRunner
from workflow_fixtures import ROOT, STUDY, Checkout

from gendist.cli.app import app
from gendist.config import study_from
from gendist.config.student_settings import Student, Training
from gendist.config.study_plan import export_candidates
from gendist.errors import GendistError
from gendist.io.json_files import read_json
from gendist.io.parquet import read_metadata
from gendist.io.provenance import PROVENANCE_KEY
from gendist.jobs.progress_log import Progress
from gendist.naming import RunKey
from gendist.nn.padding import pad_batch
from gendist.predict.classifier import TextClassifier
from gendist.stages.export.check_parity import check_parity
from gendist.stages.export.choose_student import choose_student
from gendist.stages.export.cross_fit import assign_folds, cross_fit
from gendist.stages.export.export_student import chosen_index, export_student
from gendist.stages.export.onnx_network import quantize_weights, serialise, to_onnx
from gendist.stages.export.temperature_scaling import MIN_TEMPERATURE, fit_distilled_temperature, fit_temperature
from gendist.stages.students.architectures import ARCHITECTURES, build
from gendist.stages.texts.text_tables import Texts, read_texts

QUICK = Training(epochs=1, min_steps=30, batch_size=8)
TEXT = {"columns": ["text"], "separator": " "}


def rows(count: int, seed: int = 0) -> Texts:
    texts, labels = sentences(count, seed)
    return Texts(np.arange(count), [f"{t} {i}" for i, t in enumerate(texts)], np.array(labels), NAMES)


# --- held-out rows ---


def test_folds_are_of_equal_size_and_have_equal_shares_of_each_class():
    fold = assign_folds(rows(90), 5, 0)
    assert np.bincount(fold).tolist() == [18] * 5
    assert [np.bincount(fold[rows(90).labels == c]).tolist() for c in range(3)] == [[6] * 5] * 3
    assert fold.tolist() == assign_folds(rows(90), 5, 0).tolist() != assign_folds(rows(90), 5, 1).tolist()


def test_equal_texts_share_a_fold():
    some = rows(30)
    twice = Texts(np.arange(60), some.texts * 2, np.tile(some.labels, 2), NAMES)
    fold = assign_folds(twice, 4, 0)
    assert fold[:30].tolist() == fold[30:].tolist() and set(fold.tolist()) == {0, 1, 2, 3}


def test_fewer_rows_than_folds_are_held_out_one_by_one():
    assert sorted(assign_folds(rows(3), 5, 0).tolist()) == [0, 1, 2]


def test_held_out_rows_have_no_influence_on_their_own_scores(
    train_texts: Path, subwords: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real = read_texts(train_texts)
    fold = np.arange(36) // 12
    monkeypatch.setattr("gendist.stages.export.cross_fit.assign_folds", lambda *_: fold)  # whatever the labels
    flipped = np.where(fold == 1, (real.labels + 1) % 3, real.labels)
    other = write_texts(tmp_path / "flipped.parquet", real.texts, flipped.tolist())
    for name, train in (("one", train_texts), ("two", other)):
        cross_fit(
            tmp_path / name,
            train=train,
            embeddings=subwords,
            regime="scratch",
            variant="default",
            student=Student(filters=4),
            training=QUICK,
            folds=3,
            seed=0,
        )
    one, two = (pq.read_table(tmp_path / name) for name in ("one", "two"))
    assert one["id"].to_pylist() == real.ids.tolist() and one["label"].to_pylist() == real.labels.tolist()
    assert one["fold"].to_pylist() == fold.tolist()
    same = (np.array(one["logits"].to_pylist()) == np.array(two["logits"].to_pylist())).all(1)
    assert same[fold == 1].all() and not same[fold != 1].any()
    assert set(read_metadata(tmp_path / "one")[PROVENANCE_KEY]["inputs"]) == {"train", "embeddings"}


# --- calibration and choice ---


def logits_of(labels: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    """Calibrated logits (rows, 3) of rows with these labels, blown up by ``strength``."""
    rng = np.random.default_rng(seed)
    return strength * (rng.normal(0, 1, (len(labels), 3)) + 1.0 * np.eye(3)[labels])


def test_the_temperature_undoes_what_blew_logits_up():
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, (4000, 3))
    shares = np.exp(true) / np.exp(true).sum(1, keepdims=True)
    labels = np.array([rng.choice(3, p=row) for row in shares])
    for strength in (0.5, 1.0, 3.0):
        assert fit_temperature(labels, strength * true) == pytest.approx(strength, rel=0.06)


def test_rows_that_are_all_right_do_not_drive_the_temperature_to_zero():
    labels = np.array([0, 1, 2])
    assert MIN_TEMPERATURE <= fit_temperature(labels, np.eye(3) * 4) < 1.2 * MIN_TEMPERATURE


def test_distilled_students_are_sharpened_by_half():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 2000)
    sharpened, flattened = (fit_temperature(labels, logits_of(labels, strength)) for strength in (0.3, 3.0))
    assert sharpened < 1 < flattened
    assert fit_distilled_temperature(labels, logits_of(labels, 0.3)) == pytest.approx(sharpened**0.5)
    assert fit_distilled_temperature(labels, logits_of(labels, 3.0)) == flattened


def held_out(path: Path, labels: np.ndarray, logits: np.ndarray) -> Path:
    import pyarrow as pa

    from gendist.io.parquet import write_parquet
    from gendist.io.provenance import Provenance

    table = {"id": np.arange(len(labels)), "label": labels, "logits": pa.array(logits.tolist(), pa.list_(pa.float32()))}
    write_parquet(path, pa.table(table), Provenance("export"))
    return path


def test_the_best_on_held_out_rows_is_chosen_and_ties_go_by_likelihood(tmp_path: Path):
    labels = np.arange(60) % 3
    sure, unsure, wrong = np.eye(3)[labels] * 4, np.eye(3)[labels], np.eye(3)[(labels + (labels == 0)) % 3]
    files = [held_out(tmp_path / f"{i}", labels, logits) for i, logits in enumerate((wrong, unsure, sure))]
    runs = [RunKey("toy", name, "dist", "t.default", 0, 3) for name in ("wrong", "unsure", "sure")]
    choose_student(runs, files, tmp_path / "choice.json")
    choice = read_json(tmp_path / "choice.json")
    assert [row["system"] for row in choice["ranking"]] == ["sure+dist", "unsure+dist", "wrong+dist"]
    assert choice["chosen"] == choice["ranking"][0]
    worst = choice["ranking"][2]
    assert worst["accuracy"] == pytest.approx(2 / 3)
    assert worst["standard_error"] == pytest.approx((2 / 9 / 60) ** 0.5)
    assert worst["nll_calibrated"] <= worst["nll"]
    plain = [{"dataset": "toy", "student": r.student, "regime": "dist"} for r in runs]
    assert chosen_index(tmp_path / "choice.json", plain) == 2


def test_students_from_scratch_keep_the_fitted_temperature(tmp_path: Path):
    labels = np.random.default_rng(0).integers(0, 3, 2000)
    file = held_out(tmp_path / "rows", labels, logits_of(labels, 0.3))
    runs = [RunKey("toy", "kim", regime, "default", 0, 0) for regime in ("scratch", "dist")]
    choose_student(runs, [file, file], tmp_path / "choice.json")
    found = {row["regime"]: row["temperature"] for row in read_json(tmp_path / "choice.json")["ranking"]}
    assert found["scratch"] == pytest.approx(found["dist"] ** 2)


def test_scores_of_other_rows_cannot_be_compared(tmp_path: Path):
    one = held_out(tmp_path / "one", np.array([0, 1]), np.eye(2))
    two = held_out(tmp_path / "two", np.array([1, 1]), np.eye(2))
    run = RunKey("toy", "kim", "dist", "t.default", 0, 0)
    with pytest.raises(GendistError, match="two: rows differ from those of"):
        choose_student([run, run], [one, two], tmp_path / "choice.json")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ["kim gendist bert.tiny.full.default n8 seed0", "res gendist bert.tiny.full.default n8 seed0"]),
        (
            {"systems": ["teacher", "kim", "res+dist"]},
            ["kim scratch default n0 seed0", "res dist bert.default n0 seed0"],
        ),
        ({"systems": ["teacher"]}, ["kim gendist bert.tiny.full.default n8 seed0"]),
        ({"export": {"systems": ["blend+dist"]}, "seeds": [7, 3]}, ["blend dist bert.default n0 seed7"]),
    ],
    ids=["gendist systems", "no gendist", "no student", "named"],
)
def test_which_students_are_in_question(settings: dict, expected: list[str]):
    runs = export_candidates(study_from({**STUDY, **settings}), "toy")
    assert [f"{r.student} {r.regime} {r.variant} n{r.n_synthetic} seed{r.seed}" for r in runs] == expected


def test_what_is_no_student_cannot_be_exported():
    with pytest.raises(GendistError, match=r"export\.systems: 'teacher' is not a student"):
        study_from({**STUDY, "export": {"systems": ["teacher"]}})


# --- ONNX ---


def run_onnx(content: bytes, ids: torch.Tensor, mask: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"ids": ids.numpy(), "mask": mask.long().numpy()})[0]


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_every_architecture_computes_the_same_as_onnx_in_any_batch(name: str):
    torch.manual_seed(0)
    network = build(torch.randn(2000, 16), Student(architecture=name, filters=16), 3).eval()
    model = to_onnx(network)
    pieces = [np.random.default_rng(i).integers(0, 2000, 1 + i).tolist() for i in range(9)]
    ids, mask = pad_batch(pieces)
    with torch.inference_mode():
        expected = network(ids, mask.float()).numpy()
    small = serialise(quantize_weights(model))
    assert len(small) < 0.4 * len(serialise(model))
    for content, close in ((serialise(model), 1e-5), (small, 0.1 * expected.std())):
        found = run_onnx(content, ids, mask)
        np.testing.assert_allclose(found, expected, atol=close)
        wide = [torch.nn.functional.pad(x, (0, 6), value=v) for x, v in ((ids, 5), (mask, 0))]
        np.testing.assert_allclose(run_onnx(content, *wide), found, atol=1e-5)
        alone = np.concatenate([run_onnx(content, *pad_batch([row])) for row in pieces])
        np.testing.assert_allclose(alone, found, atol=1e-5)


def test_the_paper_s_student_fits_into_a_megabyte_and_a_fifth():
    network = build(torch.randn(10_000, 100), Student(), 14)
    assert len(serialise(quantize_weights(to_onnx(network)))) <= 1_200_000


def test_equal_networks_give_equal_bytes_that_name_no_path():
    network = build(torch.ones(50, 8), Student(filters=4), 3)
    one, two = serialise(to_onnx(network)), serialise(to_onnx(network))
    assert one == two
    for place in (str(ROOT), torch.__path__[0], ".py"):
        assert place.encode() not in one


def test_a_network_that_onnx_cannot_hold_is_refused():
    class Odd(torch.nn.Module):
        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return mask if ids.sum() > 3 else mask * 2

    with pytest.raises(GendistError, match="network 'Odd' cannot be exported to ONNX"):
        to_onnx(Odd())


# --- the folder ---


def test_the_export_predicts_what_the_run_predicted(exported: Path, test_texts: Path):
    run = pq.read_table(exported.parent / "run/predictions.parquet")
    tested = read_texts(test_texts)
    for int8 in (False, True):
        found = TextClassifier.load(exported, int8=int8).predict(tested.texts)
        assert found.tolist() == [NAMES[label] for label in run["predicted"].to_pylist()]
    described = read_json(exported / "gendist-model.json")
    figures = described["test"]
    assert figures["float32"]["largest_difference"] < 1e-5 < figures["int8"]["largest_difference"] < 0.2
    assert figures["pytorch"]["accuracy"] == read_json(exported.parent / "run/metrics.json")["accuracy"]
    choice = read_json(exported.parent / "choice.json")["chosen"]
    assert described["temperature"] == choice["temperature"]
    assert described["held_out"]["accuracy"] == choice["accuracy"] and described["held_out"]["rows"] == 36
    names = {"model.onnx", "model.int8.onnx", "tokenizer.json", "look-up.safetensors"} | {
        "gendist-model.json",
        "gendist.json",
    }
    assert {file.name for file in exported.iterdir()} == names
    assert described["bytes"]["model.onnx"] == (exported / "model.onnx").stat().st_size


def test_equal_inputs_give_equal_exports(exported: Path, test_texts: Path, subwords: Path, tmp_path: Path):
    beside = exported.parent
    export_student(
        tmp_path / "again",
        choice=beside / "choice.json",
        run=beside / "run",
        test=test_texts,
        embeddings=subwords,
        text=TEXT,
    )
    for file in exported.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes(), file.name


def test_test_rows_of_unknown_pieces_do_not_stop_an_export(exported: Path, subwords: Path, tmp_path: Path):
    texts, labels = sentences(6, 1)
    tested = write_texts(tmp_path / "test.parquet", [*texts, *["\U0001f600"] * 6], [*labels, *labels])
    beside = exported.parent
    export_student(
        tmp_path / "again",
        choice=beside / "choice.json",
        run=beside / "run",
        test=tested,
        embeddings=subwords,
        text=TEXT,
    )
    figures = read_json(tmp_path / "again/gendist-model.json")["test"]
    assert figures["rows"] == 12 and figures["float32"]["largest_difference"] < 1e-4


def test_a_folder_that_predicts_otherwise_is_refused(exported: Path, test_texts: Path):
    tested = read_texts(test_texts)
    logits = TextClassifier.load(exported, int8=False).logits(tested.texts)
    logits[0] = -logits[0]
    with pytest.raises(GendistError, match=r"changes 3\.3 % of the test labels"):
        check_parity(exported, tested, logits, tables=True)


def test_embeddings_without_a_tokenizer_file_are_refused_at_once(train_texts: Path, tmp_path: Path):
    (tmp_path / "bpemb").mkdir()
    (tmp_path / "bpemb/sentencepiece.model").write_bytes(b"")
    with pytest.raises(GendistError, match=r"bpemb: only sentencepiece\.model, but an export needs tokenizer\.json"):
        cross_fit(
            tmp_path / "out",
            train=train_texts,
            embeddings=tmp_path / "bpemb",
            regime="scratch",
            variant="default",
            student=Student(),
            training=QUICK,
            folds=3,
            seed=0,
        )


# --- the command, and the workflow under it ---


def test_the_command_names_mistakes_before_anything_runs(tmp_path: Path):
    study = tmp_path / "study.yaml"
    study.write_text(json.dumps(STUDY))
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").write_text("mine")
    for arguments, message in (
        (["--dataset", "tow"], "study.yaml: no dataset 'tow' (has toy)"),
        (["--to", str(tmp_path / "full")], "full: exists and is not an exported model"),
    ):
        result = CliRunner().invoke(app, ["export", str(study), *arguments])
        assert isinstance(result.exception, GendistError) and message in str(result.exception)


def test_a_study_s_export_gives_the_labels_of_the_study(finished: Checkout, tmp_path: Path):
    checkout = finished.copy(tmp_path / "checkout")
    study = checkout.write(STUDY)
    command = [sys.executable, "-m", "gendist", "export", study, "--to", "model"]
    result = subprocess.run(command, cwd=checkout.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert result.returncode == 0, result.stdout
    toy = checkout.folder / "results/toy"
    described = read_json(toy / "export/model/gendist-model.json")
    assert {f.parent.parent.parent.name for f in (toy / "export/held_out").rglob("n8.parquet")} == {"kim", "res"}
    chosen = described["chosen"]
    run = toy / "students/{student}/{regime}/{variant}/n{n_synthetic}/seed{seed}".format(**chosen)
    tested = read_texts(toy / "texts/test.parquet")
    predicted = pq.read_table(run / "predictions.parquet")["predicted"].to_pylist()
    found = TextClassifier.load(checkout.folder / "model", int8=False).predict(tested.texts)
    assert found.tolist() == [tested.label_names[label] for label in predicted]
    assert described["test"]["float32"]["equal_labels"] == 1
    target = checkout.snakemake("--cores", "1", "--configfile", study, "--dry-run", "--", "export")
    assert "Nothing to be done" in target.stdout
    assert checkout.planned(STUDY) == {}  # which is not to export, and has no need of it


def test_folds_are_counted_and_share_one_time_left(
    train_texts: Path, subwords: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("gendist.stages.export.cross_fit.Progress", partial(Progress, interval=0.0))
    training = Training(epochs=1, min_steps=3, batch_size=100)
    with caplog.at_level(logging.INFO):
        cross_fit(
            tmp_path / "a.parquet",
            train=train_texts,
            embeddings=subwords,
            regime="scratch",
            variant="default",
            student=Student(filters=4),
            training=training,
            folds=3,
            seed=0,
        )
    counted = [re.match(r"cross-fitting, fold (\d) of 3: (\d) of 9 steps, .* left", r.message) for r in caplog.records]
    assert [match.groups() for match in counted if match] == [(f"{1 + step // 3}", f"{step + 1}") for step in range(9)]
    assert [r.message.partition(":")[0] for r in caplog.records if "held-out rows" in r.message] == [
        f"fold {n} of 3" for n in (1, 2, 3)
    ]
