"""The examples of docs/extending.md, applied to a copy of the checkout and run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from workflow_fixtures import ROOT, STUDY, Checkout, changed

from gendist.config import study_from
from gendist.config.generator_settings import Generator
from gendist.config.teacher_settings import Teacher
from gendist.errors import GendistError
from gendist.stages.generator.finetune_generator import finetune_generator
from gendist.stages.teacher.finetune_teacher import finetune_teacher

PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
APPEND = "at the end of "


def blocks(language: str) -> list[tuple[str | None, str]]:
    """Title and content of the page's blocks in a language."""
    found = re.findall(rf'^```{language}(?: title="(.*?)")?\n(.*?)^```$', PAGE, re.MULTILINE | re.DOTALL)
    return [(title or None, content) for title, content in found]


def edit(file: Path, diff: str) -> None:
    """Apply lines of ``+``, ``-`` and context, which must fit one place of the file; ``…`` is the rest of a line."""
    lines = diff.splitlines()
    before = "\n".join(line[1:] for line in lines if not line.startswith("+"))
    after = "\n".join(line[1:] for line in lines if not line.startswith("-"))
    text = file.read_text(encoding="utf-8")
    found = re.findall(f"^{re.escape(before).replace('…', '(.*)')}", text, re.MULTILINE)
    assert len(found) == 1, f"{file.name}: no single place for\n{before}"
    for old in (before, after):
        assert old.count("…") <= 1
    rest = found[0] if "…" in before else ""
    file.write_text(text.replace(before.replace("…", rest), after.replace("…", rest)), encoding="utf-8")


@pytest.fixture(scope="module")
def extended(bare: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout to which everything that the page describes was added."""
    checkout = bare.copy(tmp_path_factory.mktemp("extended") / "checkout")
    for title, content in blocks("python"):
        assert title is not None
        if title.startswith(APPEND):
            with (checkout.folder / title.removeprefix(APPEND)).open("a", encoding="utf-8") as file:
                file.write(f"\n\n{content}")
        else:
            assert not (checkout.folder / title).exists(), title
            (checkout.folder / title).write_text(content, encoding="utf-8")
    for title, content in blocks("diff"):
        assert title is not None
        edit(checkout.folder / title, content)
    return checkout


def run(checkout: Checkout, program: str, *arguments: Path | str) -> str:
    """Run a program with the package of the checkout; returns what it printed."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(checkout.folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=checkout.folder, text=True, capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_edit_that_does_not_apply_is_an_error(tmp_path: Path):
    file = tmp_path / "a.py"
    file.write_text("one\ntwo\nthree\n")
    edit(file, " one\n-two\n+2\n three\n")
    edit(file, "-th…\n+TH…!\n")
    assert file.read_text() == "one\n2\nTHree!\n"
    with pytest.raises(AssertionError, match="no single place"):
        edit(file, "-two\n+2\n")


def test_the_network_trains_on_toy_rows(extended: Checkout, train_texts: Path, test_texts: Path, subwords: Path):
    program = """
import json, sys
from pathlib import Path
import numpy as np, torch
from gendist.nn.padding import pad_batch
from gendist.stages.students.architectures import build
from gendist.naming import RunKey
from gendist.stages.students.distil_student import distil_seeds, student_metadata
from gendist.config.student_settings import Student, Training
from gendist.stages.students.train_student import predict_student
folder, train, test, subwords = map(Path, sys.argv[1:])
row = student_metadata(RunKey("toy", "attention", "scratch", "default", 0, 0))
student = Student(architecture="attention", filters=24)
training = Training(learning_rate=1e-2, min_steps=200, batch_size=8)
files = {"train": train, "test": test, "embeddings": subwords}
distil_seeds({0: folder}, row, **files, student=student, training=training)
torch.manual_seed(0)
vectors = torch.randn(50, 12)
network = build(vectors, student, 3).eval()
rows = [np.random.default_rng(i).integers(0, 50, 1 + i).tolist() for i in range(15)]
np.testing.assert_allclose(predict_student(network, rows, 15), predict_student(network, rows, 1), atol=1e-6)
assert torch.equal(network.embedding.weight, vectors) and network.embedding.weight is not vectors
print(json.loads((folder / "metrics.json").read_text())["accuracy"])
"""
    accuracy = run(extended, program, extended.folder / "attention", train_texts, test_texts, subwords)
    assert float(accuracy) > 0.8  # one third by chance


def test_the_loss_is_learnt_by(extended: Checkout):
    program = """
import torch
from gendist.stages.students.architectures import build
from gendist.stages.students.training_rows import TrainingRows
from gendist.stages.students.loss import distillation_loss
from gendist.config.student_settings import Student, Training
from gendist.stages.students.train_student import predict_student, train_student
ones = torch.tensor([[1.0, -2.0], [0.0, 3.0]])
assert distillation_loss(ones, torch.zeros(2, 2), "mse", 1.0).item() == 3.5
torch.manual_seed(0)
teacher = torch.tensor([[2.0, -1.0], [-3.0, 1.0]] * 8)
student = Student(filters=8, dropout=0.0, distillation_loss="mse")
network = build(torch.randn(9, 6), student, 2)
encoded = [[2, 3, 4], [5, 6, 7]] * 8
training = Training(batch_size=8, min_steps=300, learning_rate=1e-2, token_dropout=0)
rows = TrainingRows([""] * 16, None, teacher, 16)
train_student(network, encoded, rows, student=student, training=training, seed=0)
print(abs(predict_student(network, encoded) - teacher.numpy()).max())
"""
    assert float(run(extended, program)) < 0.1  # the logits themselves, not only their differences


def test_min_p_keeps_what_it_says_and_rows_do_not_depend_on_batches(extended: Checkout, generator: Path):
    program = """
import sys
import numpy as np, torch
from gendist.stages.generator.finetune_generator import boundary_tokens
from gendist.nn.pretrained import load_causal_lm, load_tokenizer
from gendist.stages.synthetic.gumbel_sampler import GumbelSampler
from gendist.stages.synthetic.sampler import Sampler
from gendist.config.sampling_settings import Sampling
n, vocabulary = 20_000, 30
logits = np.random.default_rng(0).normal(0, 1.5, vocabulary)
for settings in (Sampling(min_p=0.2), Sampling(min_p=0.2, top_k=3), Sampling(min_p=0.01, temperature=0.7)):
    p = np.exp(logits / settings.temperature)
    p[p < settings.min_p * p.max()] = 0
    if settings.top_k:
        p[p < np.sort(p)[-settings.top_k]] = 0
    p /= p.sum()
    drawn, safe = GumbelSampler(settings, vocabulary, []).draw(
        torch.from_numpy(np.tile(logits, (n, 1))), np.arange(n), np.zeros(n)
    )
    shares = np.bincount(drawn.numpy(), minlength=vocabulary) / n
    assert ((shares > 0) == (p > 0)).all() and abs(shares - p).max() < 0.015, settings
    assert safe.float().mean() > 0.98
place = sys.argv[1]
model, tokenizer = load_causal_lm(place), load_tokenizer(place)
start, end = boundary_tokens(model.config, tokenizer, place)
texts = []
for size in (2, 5):
    settings = Sampling(min_p=0.05, max_tokens=12, batch_size=size)
    sampler = Sampler(model.eval(), settings, start=start, end=end, forbidden=tokenizer.all_special_ids)
    texts.append({row.number: row.tokens for row in sampler.sample(range(10))})
assert texts[0] == texts[1] and len(texts[0]) == 10
print(len({str(tokens) for tokens in texts[0].values()}))
"""
    assert int(run(extended, program, generator)) > 5  # not always the most probable text


def test_the_baseline_is_a_row_of_the_study(extended: Checkout, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(extended.folder))  # else scripts import the package that is installed
    study = changed(systems=["centroid", "teacher", "kim"])
    assert extended.planned(study)["fit_centroid"] == 1
    folder = "results/toy/baselines/centroid/seed0"
    extended.run(study, f"{folder}/metrics.json")
    row = yaml.safe_load((extended.folder / folder / "metrics.json").read_text())
    assert row["system"] == "centroid" and row["n_real"] == 18 and row["accuracy"] > 0.8


def test_the_configs_that_use_the_examples_are_accepted(extended: Checkout):
    titled = [content for title, content in blocks("yaml") if title]
    assert len(titled) == 4
    program = """
import sys
import yaml
from gendist.config import study_from
study_from({"datasets": {"a": {"train": "a.csv", "test": "b.csv"}}, **yaml.safe_load(sys.argv[1])})
"""
    for content in titled:
        run(extended, program, content)
        with pytest.raises(GendistError, match=r"accepted|unknown|input should be"):
            study_from({"datasets": STUDY["datasets"], **yaml.safe_load(content)})  # before the change


def test_a_generator_and_a_teacher_come_from_folders(gpt2: Path, encoder: Path, train_texts: Path, tmp_path: Path):
    (content,) = [content for title, content in blocks("yaml") if "generators:" in content]
    entries = yaml.safe_load(content)
    generator = Generator(**{**entries["generators"]["own"], "model": str(gpt2), "epochs": 1})
    finetune_generator(train_texts, tmp_path / "generator", generator)
    teacher = Teacher(**{**entries["teachers"]["own"], "model": str(encoder), "epochs": 1})
    finetune_teacher(train_texts, tmp_path / "teacher", teacher)
    assert all((tmp_path / name / "model.safetensors").is_file() for name in ("generator", "teacher"))
