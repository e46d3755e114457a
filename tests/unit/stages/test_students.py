import json
import math
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_stages import write_texts
from toy_texts import NAMES, sentences

from gendist.config.student_settings import Student, Training
from gendist.errors import GendistError
from gendist.io.parquet import read_metadata, write_parquet
from gendist.io.provenance import Provenance
from gendist.naming import RunKey, variant_name
from gendist.nn.padding import pad_batch
from gendist.stages.students import length_batches as data
from gendist.stages.students.architectures import ARCHITECTURES, build
from gendist.stages.students.distil_student import distil_seeds, student_metadata
from gendist.stages.students.loss import distillation_loss, label_loss
from gendist.stages.students.subwords import load_subwords
from gendist.stages.students.train_student import predict_student
from gendist.stages.students.training_rows import SyntheticFiles, assemble_training_rows
from gendist.stages.texts.text_tables import read_texts

QUICK = Training(epochs=2, min_steps=60, batch_size=8)
COUNT = 12


@pytest.mark.parametrize(("name", "expected"), [("kim", 1_124_514), ("res", 1_091_714), ("blend", 1_482_314)])
def test_parameters_at_the_paper_s_sizes(name, expected):
    network = build(torch.zeros(10_000, 100), Student(architecture=name), 14)
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == expected
    assert expected // 1000 in (1124, 1091, 1482)


def test_parameters_of_the_other_students():
    for name, student in (
        ("bilstm", Student(architecture="bilstm", filters=150)),
        ("bag", Student(architecture="bag", filters=300)),
    ):
        network = build(torch.zeros(10_000, 100), student, 14)
        expected = {
            # per direction four gates of weights over input and state and two biases; dense; linear
            "bilstm": 1_000_000 + 2 * 4 * (100 * 150 + 150 * 150 + 2 * 150) + 300 * 200 + 200 + 200 * 14 + 14,
            "bag": 1_000_000 + 100 * 300 + 300 + 300 * 14 + 14,
        }[name]
        assert sum(p.numel() for p in network.parameters() if p.requires_grad) == expected
        assert f"{expected:,} parameters" in " ".join((ARCHITECTURES[name].__doc__ or "").split())


def test_the_bilstm_reads_each_row_from_both_of_its_ends():
    torch.manual_seed(0)
    network = build(torch.randn(50, 12), Student(architecture="bilstm", filters=8), 3).eval()
    both = torch.nn.LSTM(12, 8, batch_first=True, bidirectional=True)
    for suffix, lstm in (("", network.forwards), ("_reverse", network.backwards)):
        for name, value in lstm.named_parameters():
            getattr(both, name + suffix).data = value.data
    hidden = []
    network.hidden.register_forward_pre_hook(lambda _, inputs: hidden.append(inputs[0]))
    rows = [[3, 4, 5, 6, 7], [8, 9], [10]]
    ids, mask = pad_batch(rows)
    network(ids, mask.float())
    for row, state in zip(rows, hidden[0], strict=True):
        last = both(network.embedding(torch.tensor([row])))[1][0]  # (directions, 1, units)
        torch.testing.assert_close(state, last.flatten())


def test_the_bag_has_no_order_and_the_bilstm_has():
    for name, same in (("bag", True), ("bilstm", False)):
        torch.manual_seed(0)
        network = build(torch.randn(50, 12), Student(architecture=name, filters=8), 3).eval()
        one, other = predict_student(network, [[3, 4, 5, 6], [6, 3, 5, 4]])
        assert np.allclose(one, other, atol=1e-6) == same


@pytest.mark.parametrize("name", ["bilstm", "bag"])
def test_every_weight_of_the_other_students_learns(name):
    network = build(torch.randn(20, 12), Student(architecture=name, filters=8, dropout=0.0), 3)
    network(
        torch.tensor([[3, 4, 5, 6], [7, 8, 0, 0]]), torch.tensor([[1.0] * 4, [1, 1, 0, 0]])
    ).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_logits_do_not_depend_on_padding_or_batch(name):
    torch.manual_seed(0)
    vectors = torch.randn(50, 12)
    network = build(vectors, Student(architecture=name, filters=8), 3).eval()
    rows = [np.random.default_rng(i).integers(0, 50, 1 + i).tolist() for i in range(15)]
    alone = predict_student(network, rows, 1)
    assert alone.dtype == np.float32 and len(np.unique(alone, axis=0)) == 15
    for size in (4, 15):
        np.testing.assert_allclose(predict_student(network, rows, size), alone, atol=1e-6)
    ids, mask = pad_batch(rows)
    wider = torch.nn.functional.pad(ids, (0, 9), value=7), torch.nn.functional.pad(mask, (0, 9)).float()
    np.testing.assert_allclose(network(*wider).detach().numpy(), alone, atol=1e-6)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_embeddings_are_copied_and_learn(name):
    vectors = torch.randn(20, 12)
    network = build(vectors, Student(architecture=name), 3)
    assert torch.equal(network.embedding.weight, vectors)
    network(torch.tensor([[3, 4, 5, 6]]), torch.ones(1, 4)).sum().backward()
    assert network.embedding.weight.grad[3:7].abs().sum() > 0
    with torch.no_grad():
        network.embedding.weight.zero_()
    assert vectors.any()


def test_losses_by_hand():
    student, teacher = (
        torch.log(torch.tensor([[0.5, 0.5], [0.9, 0.1]])),
        torch.log(torch.tensor([[0.8, 0.2], [0.9, 0.1]])),
    )
    kl = (0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)) / 2
    assert distillation_loss(student, teacher, "kl", 1.0).item() == pytest.approx(kl)
    # The teacher's distribution at T = 2 is proportional to the roots: 2 to 1, scaled back by T squared.
    softened = 4 * (2 / 3 * math.log(4 / 3) + 1 / 3 * math.log(2 / 3)) / 2
    assert distillation_loss(student, teacher, "kl", 2.0).item() == pytest.approx(softened, rel=1e-5)
    ones = torch.tensor([[1.0, -2.0], [0.0, 3.0]])
    assert distillation_loss(ones, torch.zeros(2, 2), "mae", 1.0).item() == 1.5
    assert label_loss(student, torch.tensor([0, 1])).item() == pytest.approx(-(math.log(0.5) + math.log(0.1)) / 2)


@pytest.fixture(scope="module")
def pool(train_texts, tmp_path_factory):
    """Two shards of six rows, the second of them empty, and the teacher's logits of both and of the real rows."""
    folder = tmp_path_factory.mktemp("pool")
    texts, labels = sentences(COUNT, 5)
    texts[1] = ""
    shards, logits = [], []
    for first in (0, 6):
        rows = pa.array(range(first, first + 6), pa.int64())
        some = texts[first : first + 6]
        shard = {"row": rows, "text": some, "finish": ["stop" if text else "empty" for text in some]}
        scores = {
            "row": rows,
            "logits": pa.array([one_hot(n) for n in labels[first : first + 6]], pa.list_(pa.float32())),
        }
        for files, table, name in ((shards, shard, "shards"), (logits, scores, "logits")):
            files.append(folder / name / f"shard-{first // 6:05d}.parquet")
            write_parquet(files[-1], pa.table(table), Provenance("synthetic"))
    real = read_texts(train_texts)
    scores = pa.array([one_hot(n) for n in real.labels], pa.list_(pa.float32()))
    write_parquet(folder / "real.parquet", pa.table({"id": real.ids, "logits": scores}), Provenance("logits"))
    return shards, logits, folder / "real.parquet"


def one_hot(label):
    return [4.0 if c == label else -1.0 for c in range(3)]


def rows_of(regime, real, pool, count=COUNT):
    return assemble_training_rows(regime, real, real_logits=pool[2], synthetic=SyntheticFiles(pool[0], pool[1], count))


def test_each_regime_uses_its_rows_and_no_others(train_texts, pool):
    real = read_texts(train_texts)
    made = sentences(COUNT, 5)[0][:1] + sentences(COUNT, 5)[0][2:]
    synthetic_labels = [i % 3 for i in range(COUNT) if i != 1]
    scratch, dist, gendist, synthetic, hard = (
        rows_of(regime, real, pool) for regime in ("scratch", "dist", "gendist", "synthetic", "hard")
    )
    assert scratch.texts == dist.texts == real.texts and synthetic.texts == made
    assert gendist.texts == hard.texts == real.texts + made
    assert scratch.labels.tolist() == real.labels.tolist() and scratch.logits is None
    assert hard.labels.tolist() == real.labels.tolist() + synthetic_labels and hard.logits is None
    for rows, labels in (
        (dist, real.labels.tolist()),
        (synthetic, synthetic_labels),
        (gendist, real.labels.tolist() + synthetic_labels),
    ):
        assert rows.labels is None and rows.logits.dtype == torch.float32
        assert rows.logits.tolist() == [one_hot(label) for label in labels]


def test_hard_keeps_the_gold_labels_of_real_rows(train_texts, pool):
    real = read_texts(train_texts)
    flipped = type(real)(real.ids, real.texts, (real.labels + 1) % 3, real.label_names)
    assert rows_of("hard", flipped, pool).labels[:36].tolist() == flipped.labels.tolist()


def test_counts_are_prefixes_and_empty_rows_are_not_replaced(train_texts, pool):
    real = read_texts(train_texts)
    texts = {count: rows_of("synthetic", real, pool, count).texts for count in (1, 2, 7, 12)}
    assert [len(texts[count]) for count in (1, 2, 7, 12)] == [1, 1, 6, 11]
    for few, more in ((1, 2), (2, 7), (7, 12)):
        assert texts[more][: len(texts[few])] == texts[few]


def test_files_that_do_not_fit_are_named(train_texts, test_texts, pool, tmp_path):
    real = read_texts(train_texts)
    shards, logits, scores = pool
    for regime, real_logits, synthetic, message in (
        ("dist", None, None, "regime 'dist' needs the teacher's logits of the labelled rows"),
        ("hard", scores, None, "regime 'hard' needs synthetic shards"),
        ("gendist", scores, SyntheticFiles(shards, logits, 13), "rows 0 to 12 expected, found 12 rows"),
        ("gendist", scores, SyntheticFiles(shards, logits[::-1], 12), "not the logits of rows 0 to 11"),
        ("gendist", scores, SyntheticFiles(shards, logits[:1], 12), "not the logits of rows 0 to 11"),
    ):
        with pytest.raises(GendistError, match=message):
            assemble_training_rows(regime, real, real_logits=real_logits, synthetic=synthetic)
    with pytest.raises(GendistError, match=r"real\.parquet: ids differ from those of the training texts"):
        assemble_training_rows("dist", read_texts(test_texts), real_logits=scores, synthetic=None)


def distil(folder, regime, train, test, subwords, pool, seed=0, student=None, count=COUNT, training=QUICK):
    student = student or Student(filters=16)
    row = student_metadata(
        RunKey(
            "toy",
            "kim",
            regime,
            variant_name(regime, teacher="t", generator="g", sampling="full", training="default"),
            count,
            seed,
        )
    )
    synthetic = SyntheticFiles(pool[0], pool[1], count)
    distil_seeds(
        {seed: folder},
        row,
        train=train,
        test=test,
        embeddings=subwords,
        student=student,
        training=training,
        train_logits=pool[2],
        synthetic=synthetic,
    )
    return json.loads((folder / "metrics.json").read_text())


@pytest.mark.parametrize(
    ("regime", "architecture"),
    [
        ("scratch", "kim"),
        ("dist", "res"),
        ("gendist", "blend"),
        ("synthetic", "kim"),
        ("hard", "res"),
        ("dist", "blend"),
        ("dist", "bilstm"),
        ("gendist", "bag"),
    ],
)
def test_students_learn_a_separable_task(regime, architecture, train_texts, test_texts, subwords, pool, tmp_path):
    loss = "mae" if architecture == "blend" else "kl"
    student = Student(architecture=architecture, filters=16, distillation_loss=loss)
    longer = Training(epochs=2, min_steps=300 if architecture in ("bag", "blend") else 150, batch_size=8)
    row = distil(tmp_path / "run", regime, train_texts, test_texts, subwords, pool, student=student, training=longer)
    assert row["accuracy"] > (0.6 if regime == "synthetic" else 0.9)  # a third by chance; eleven synthetic rows
    assert row["system"] == ("kim" if regime == "scratch" else f"kim+{regime}")
    assert row["n_real"] == (0 if regime == "synthetic" else 36)


def test_run_folder_predictions_and_provenance(train_texts, test_texts, subwords, pool, tmp_path):
    row = distil(tmp_path / "run", "gendist", train_texts, test_texts, subwords, pool)
    names = {"model.safetensors", "student.json", "predictions.parquet", "timing.json", "metrics.json"}
    assert {file.name for file in (tmp_path / "run").iterdir()} == names
    table = pq.read_table(tmp_path / "run/predictions.parquet")
    test = read_texts(test_texts)
    assert table["id"].to_pylist() == test.ids.tolist() and table["label"].to_pylist() == test.labels.tolist()
    logits = np.array(table["logits"].to_pylist())
    assert logits.shape == (30, 3) and table["predicted"].to_pylist() == logits.argmax(1).tolist()
    assert row["accuracy"] == pytest.approx(np.mean(logits.argmax(1) == test.labels))
    weights = load_file(tmp_path / "run/model.safetensors")
    assert row["n_parameters"] == sum(value.numel() for value in weights.values())
    assert (row["generator"], row["sampling"], row["teacher"], row["n_synthetic"]) == ("g", "full", "t", COUNT)
    description = json.loads((tmp_path / "run/student.json").read_text())
    assert description["label_names"] == NAMES and description["max_pieces"] == 128
    # The saved model alone gives the same predictions.
    network = build(weights["embedding.weight"], Student(**description["student"]), 3)
    network.load_state_dict(weights)
    encoded = load_subwords(subwords).encode(test.texts)
    np.testing.assert_allclose(predict_student(network, encoded), logits, atol=1e-6)
    inputs = read_metadata(tmp_path / "run/predictions.parquet")["gendist"]["inputs"]
    shards = {f"{kind}/{i:05d}" for kind in ("shards", "shard_logits") for i in range(2)}
    assert set(inputs) == {"train", "test", "train_logits", "embeddings"} | shards
    with safe_open(tmp_path / "run/model.safetensors", "pt") as file:
        assert json.loads(file.metadata()["gendist"])["inputs"] == inputs


def test_equal_seeds_give_equal_bytes_and_others_do_not(train_texts, test_texts, subwords, pool, tmp_path):
    for name, seed in (("one", 0), ("two", 0), ("other", 1)):
        distil(tmp_path / name, "gendist", train_texts, test_texts, subwords, pool, seed)
    for file in ("model.safetensors", "predictions.parquet", "metrics.json", "student.json"):
        one, two = ((tmp_path / name / file).read_bytes() for name in ("one", "two"))
        assert one == two, file
    assert (tmp_path / "one/model.safetensors").read_bytes() != (tmp_path / "other/model.safetensors").read_bytes()


def test_test_labels_have_no_influence_on_the_weights(train_texts, test_texts, subwords, pool, tmp_path):
    texts, labels = sentences(30, 1)
    other = write_texts(tmp_path / "other.parquet", texts[::-1], labels)
    for name, test in (("one", test_texts), ("two", other)):
        distil(tmp_path / name, "scratch", train_texts, test, subwords, pool)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert all(torch.equal(one[key], two[key]) for key in one)
    renamed = write_texts(tmp_path / "renamed.parquet", texts, labels, ["a", "b", "c"])
    with pytest.raises(GendistError, match=r"renamed\.parquet: label names differ"):
        distil(tmp_path / "three", "scratch", train_texts, renamed, subwords, pool)
    assert not (tmp_path / "three").exists()


def test_divergence_ends_in_one_line(train_texts, test_texts, subwords, pool, tmp_path):
    training = Training(min_steps=20).model_copy(update={"learning_rate": 1e30})  # more than a config takes
    with pytest.raises(GendistError, match="student training diverged; lower learning_rate"):
        distil(tmp_path / "run", "scratch", train_texts, test_texts, subwords, pool, training=training)
    assert not (tmp_path / "run").exists()


def test_batches_hold_every_row_once(monkeypatch):
    monkeypatch.setattr(data, "BUCKET_BATCHES", 2)
    encoded = [[i] * (1 + i % 7) for i in range(23)]
    seen = []
    for ids, mask, picks in data.iter_batches(encoded, 4, np.random.default_rng(0)):
        assert ids.shape == mask.shape and len(picks) <= 4
        assert [row[: int(n)].tolist() for row, n in zip(ids, mask.sum(1), strict=True)] == [encoded[i] for i in picks]
        seen += picks.tolist()
    assert sorted(seen) == list(range(23)) and seen != sorted(seen)


def test_student_jobs_stay_light(train_texts, test_texts, subwords, pool, tmp_path):
    program = f"""
import sys
sys.path.insert(0, {str(__file__.rpartition("/")[0])!r})
from pathlib import Path
from gendist.stages.students.distil_student import distil_seeds, student_metadata
from gendist.stages.students.training_rows import SyntheticFiles
from gendist.config.student_settings import Student, Training
from gendist.naming import RunKey
row = student_metadata(RunKey("toy", "kim", "gendist", "t.g.full.default", {COUNT}, 0))
paths = [Path(p) for p in sys.argv[1:]]
synthetic = SyntheticFiles(paths[5:7], paths[7:9], {COUNT})
training = Training(epochs=1, min_steps=2)
files = dict(zip(("train", "test", "embeddings", "train_logits"), paths[1:5], strict=True))
distil_seeds({{0: paths[0]}}, row, **files, student=Student(filters=4), training=training, synthetic=synthetic)
heavy = ("transformers", "sklearn", "scipy", "matplotlib", "gensim", "torch._dynamo")
print([name for name in heavy if name in sys.modules])
"""
    files = [tmp_path / "run", train_texts, test_texts, subwords, pool[2], *pool[0], *pool[1]]
    command = [sys.executable, "-c", program, *map(str, files)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
