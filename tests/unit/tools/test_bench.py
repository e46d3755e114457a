"""The benchmarks: what they report is what was measured, and a faster way that errs fails the command."""

import copy
import errno
import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from toy_texts import NAMES, sentences
from transformers import GPT2Config, GPT2LMHeadModel

from gendist.errors import GendistError
from gendist.io.parquet import read_metadata
from gendist.io.provenance import PROVENANCE_KEY
from gendist.nn import devices
from gendist.nn.pretrained import load_classifier, load_tokenizer
from gendist.stages.logits.int8_cascade import INT8_ERROR_KEY, Int8Cascade, int8_error
from gendist.stages.students.subwords import load_subwords
from gendist.stages.texts.text_tables import Texts
from tools.bench import generation, many_seeds, pocket_finetuning, scoring, timed_pairs, training
from tools.bench.__main__ import GROUPS, main
from tools.bench.bench_table import SCHEMA, markdown, write_outcomes
from tools.bench.timed_pairs import Case, Check, Outcome, SkippedError, run_case

FILES = ["bench.md", "bench.parquet", "bench.png", "bench.svg"]


def one():
    return 1.0


def case(*checks, name="adding", goal=2.0):
    return Case(name, "the other way", "sums", goal, one, one, checks)


def measured():
    """Rates whose median ratio (4.5) is neither the ratio of the medians (3) nor the mean (4.75)."""
    check = Check("sums that differ", 0.0, 0.0)
    return Outcome(case(check), [10.0, 40.0, 20.0, 90.0], [10.0, 10.0, 4.0, 10.0])


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still but for what a test adds to ``clock.now``."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(timed_pairs, "time", SimpleNamespace(process_time=lambda: clock.now))
    return clock


@pytest.fixture
def cases_of(monkeypatch):
    """Have every group consist of one pair, with the given checks; returns the groups that were asked for theirs."""
    asked = []

    def put(*checks):
        for group in GROUPS:
            monkeypatch.setattr(
                f"tools.bench.{group}.cases", lambda group=group: asked.append(group) or [case(*checks, name=group)]
            )
        return asked

    return put


def test_rates_are_units_per_second_in_turns_after_a_round_that_does_not_count(clock):
    turns = []

    def work(name, units, seconds):
        def run():
            clock.now += 1000.0 if name not in turns else seconds  # loading, compiling
            turns.append(name)
            return units

        return run

    pair = Case("adding", "slowly", "sums", None, work("ours", 100.0, 0.5), work("theirs", 50.0, 1.0))
    outcome = run_case(pair, 3)
    assert outcome.ours == [200.0] * 3 and outcome.theirs == [50.0] * 3
    assert outcome.ratios == [4.0] * 3 and outcome.ratio == 4.0  # ours is faster: above 1
    assert turns == ["ours", "theirs", "theirs", "ours", "ours", "theirs", "theirs", "ours"]


def test_what_a_gpu_does_is_timed_by_the_clock(clock):
    wall = SimpleNamespace(now=0.0)
    timed_pairs.time.perf_counter = lambda: wall.now

    def work(seconds):
        def run():
            clock.now += 7.0
            wall.now += seconds
            return 10.0

        return run

    outcome = run_case(Case("adding", "slowly", "sums", None, work(0.5), work(2.0), wall=True), 2)
    assert outcome.ours == [20.0] * 2 and outcome.theirs == [5.0] * 2


def test_the_ratio_is_the_median_over_rounds_and_its_range_that_of_rounds(tmp_path):
    outcome = measured()
    assert outcome.ratios == [1.0, 4.0, 5.0, 9.0] and outcome.ratio == 4.5
    row = "| adding | the other way | 30 sums | 10 | 4.50 (1.00 to 9.00) | 2 | sums that differ 0 ≤ 0 |"
    assert markdown([outcome]).splitlines()[2:] == [row]
    write_outcomes([outcome], tmp_path)
    assert pq.read_table(tmp_path / "bench.parquet").to_pylist() == [
        {
            "what": "adding",
            "compared_with": "the other way",
            "unit": "sums",
            "rounds": 4,
            "rate": 30.0,
            "their_rate": 10.0,
            "ratio": 4.5,
            "ratio_min": 1.0,
            "ratio_max": 9.0,
            "goal": 2.0,
            "checks": [{"what": "sums that differ", "value": 0.0, "limit": 0.0}],
        }
    ]


@pytest.mark.parametrize(
    ("value", "passed"), [(0.0, True), (0.5, True), (0.5001, False), (math.inf, False), (math.nan, False)]
)
def test_a_check_passes_up_to_its_limit(value, passed):
    check = Check("rows that differ", value, 0.5)
    assert check.passed == passed
    assert ("FAILED" in markdown([Outcome(case(check), [1.0], [1.0])])) != passed


def test_all_files_are_written_whole_and_the_same_again(tmp_path):
    outcomes = [measured(), Outcome(case(goal=None), [3.0], [2.0])]
    for name in ("first", "second"):
        write_outcomes(outcomes, tmp_path / name)
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == FILES
    contents = {name: (tmp_path / "first" / name).read_bytes() for name in FILES}
    assert all((tmp_path / "second" / name).read_bytes() == content for name, content in contents.items())
    table = pq.read_table(tmp_path / "first/bench.parquet")
    assert table.schema.remove_metadata() == SCHEMA and table.num_rows == 2
    assert read_metadata(tmp_path / "first/bench.parquet")[PROVENANCE_KEY]["stage"] == "bench"
    assert contents["bench.md"].decode() == markdown(outcomes)
    assert ElementTree.fromstring(contents["bench.svg"]).tag.endswith("svg")
    assert contents["bench.png"].startswith(b"\x89PNG") and contents["bench.png"].endswith(b"IEND\xaeB`\x82")


@pytest.mark.parametrize("name", ["bench.md", "bench.svg", "bench.png"])
def test_a_full_disk_leaves_no_half_file(name, tmp_path, monkeypatch):
    (tmp_path / name).write_text("of an earlier run")
    write = Path.write_bytes

    def full(path, content):
        if name not in path.name:
            return write(path, content)
        write(path, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(GendistError, match=name):
        write_outcomes([measured()], tmp_path)
    assert (tmp_path / name).read_text() == "of an earlier run"
    assert {path.name for path in tmp_path.iterdir()} <= set(FILES)


def test_the_command_times_the_groups_named_or_all(cases_of, tmp_path, capsys):
    asked = cases_of(Check("rows that differ", 0.0, 0.0))
    assert main(["training", "scoring", "--rounds", "3", "--out", str(tmp_path / "two")]) == 0
    assert asked == ["training", "scoring"]
    printed = capsys.readouterr()
    assert (tmp_path / "two/bench.md").read_text() in printed.out and "error" not in printed.err
    assert pq.read_table(tmp_path / "two/bench.parquet")["rounds"].to_pylist() == [3, 3]
    assert main(["--rounds", "1", "--out", str(tmp_path / "all")]) == 0
    assert pq.read_table(tmp_path / "all/bench.parquet")["what"].to_pylist() == list(GROUPS)


def test_a_group_that_needs_what_is_not_there_is_left_out_with_its_reason(cases_of, tmp_path, monkeypatch, capsys):
    cases_of()

    def cases():
        raise SkippedError("PyTorch sees no GPU")

    monkeypatch.setattr(many_seeds, "cases", cases)
    assert main(["many_seeds", "scoring", "--rounds", "1", "--out", str(tmp_path / "some")]) == 0
    assert "many_seeds skipped: PyTorch sees no GPU\n" in capsys.readouterr().err
    assert pq.read_table(tmp_path / "some/bench.parquet")["what"].to_pylist() == ["scoring"]
    assert main(["many_seeds", "--out", str(tmp_path / "none")]) == 0
    assert "skipped" in capsys.readouterr().err and not (tmp_path / "none").exists()


def test_a_group_that_fails_loses_no_other(cases_of, tmp_path, monkeypatch, capsys):
    cases_of()

    def cases():
        raise RuntimeError("no kernel\nfor this")

    monkeypatch.setattr(many_seeds, "cases", cases)
    assert main(["training", "many_seeds", "scoring", "--rounds", "1", "--out", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert "error: many_seeds failed: RuntimeError: no kernel\n" in printed.err
    assert printed.out.count("| training | the other way |") == 2  # at once, and in the table at the end
    assert pq.read_table(tmp_path / "bench.parquet")["what"].to_pylist() == ["training", "scoring"]


def test_a_failed_check_fails_the_command_and_is_named(cases_of, tmp_path, capsys):
    cases_of(Check("rows that differ", 0.25, 0.002), Check("bytes", 1.0, 2.0))
    assert main(["training", "--rounds", "1", "--out", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    errors = [line for line in printed.err.splitlines() if line.startswith("error")]
    expected = "training, against the other way: rows that differ 0.25, limit 0.002"
    assert errors == [f"error: check failed: {expected}"]
    assert "rows that differ 0.25 ≤ 0.002 FAILED; bytes 1 ≤ 2 |" in printed.out
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES  # the figures are there all the same


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--rounds", "0"], "--rounds must be at least 1"),
        (["--rounds", "-2"], "--rounds must be at least 1"),
        (["--rounds", "few"], "argument --rounds: invalid int value: 'few'"),
        (
            ["training", "drawing"],
            f"unknown group 'drawing'; accepted: {', '.join(GROUPS)}",
        ),
        (["--out", __file__], f"--out {__file__} is not a folder"),
    ],
)
def test_mistakes_end_in_one_line_before_anything_is_timed(arguments, reason, cases_of, tmp_path, monkeypatch, capsys):
    asked = cases_of()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    *usage, last = capsys.readouterr().err.splitlines()
    assert last == f"python -m tools.bench: error: {reason}" and usage[0].startswith("usage:")
    assert asked == [] and list(tmp_path.iterdir()) == []


def passed(cases, units):
    """Time each pair once; its checks hold, and both ways make as many units as ``units`` says."""
    for pair in cases:
        assert pair.checks and all(check.passed for check in pair.checks), pair.checks
        for work in (pair.ours, pair.theirs):
            low, high = units
            assert low <= work() <= high
        outcome = run_case(pair, 1)
        assert outcome.ratio > 0


@pytest.fixture
def tiny_generation(generator, monkeypatch):
    """A tiny GPT-2, finetuned, for the pocket generator, and one with random weights for GPT-2."""
    torch.manual_seed(0)
    config = GPT2Config(n_embd=16, n_layer=1, n_head=2)  # the vocabulary is GPT-2's, as its end token is
    monkeypatch.setattr(generation, "gpt2", lambda: GPT2LMHeadModel(config).eval())
    monkeypatch.setattr(generation, "unpack_generator", lambda target: shutil.copytree(generator, target))


@pytest.mark.usefixtures("tiny_generation")
def test_generation_on_tiny_models():
    passed(generation.cases(rows=12, tokens=8), (12, 12 * 8))


@pytest.mark.usefixtures("tiny_generation")
def test_what_transformers_writes_after_a_rows_end_is_not_counted(monkeypatch):
    written = torch.tensor([[5, 6, 7, 8], [5, 50256, 50256, 50256], [50256] * 4, [5, 6, 7, 50256]])
    monkeypatch.setattr(GPT2LMHeadModel, "generate", lambda _, prompt, **__: torch.cat([prompt[:4], written], 1))
    assert generation.cases(rows=12, tokens=4)[1].theirs() == 4 + 2 + 1 + 4


@pytest.fixture
def toy(subwords, monkeypatch):
    """Toy texts in place of the embedded dataset, for the groups that train on it."""
    rows = [
        Texts(np.arange(len(texts)), texts, np.array(labels), NAMES)
        for texts, labels in (sentences(36, 0), sentences(30, 1))
    ]
    for module in (training, scoring):
        monkeypatch.setattr(module, "newsbriefs", lambda: tuple(rows))
    monkeypatch.setattr(training, "subwords", lambda: load_subwords(subwords))
    return rows


def test_pocket_finetuning_on_a_tiny_model(toy, bert_generator, monkeypatch):
    monkeypatch.setattr(pocket_finetuning, "unpack_generator", lambda target: shutil.copytree(bert_generator, target))
    monkeypatch.setattr(pocket_finetuning, "newsbriefs", lambda: tuple(toy))
    monkeypatch.setattr(pocket_finetuning, "ROWS", 20)
    passed(pocket_finetuning.cases(), (20, 20 * 60))


def test_steps_that_learn_otherwise_are_noticed(toy, bert_generator, monkeypatch):
    monkeypatch.setattr(pocket_finetuning, "unpack_generator", lambda target: shutil.copytree(bert_generator, target))
    monkeypatch.setattr(pocket_finetuning, "newsbriefs", lambda: tuple(toy))
    monkeypatch.setattr(pocket_finetuning, "ROWS", 20)
    monkeypatch.setattr(pocket_finetuning, "finetune_one_epoch", lambda model, rows, settings: None)
    (pair,) = pocket_finetuning.cases()
    assert not pair.checks[0].passed


@pytest.fixture
def tiny_scoring(toy, encoder, monkeypatch):
    """A tiny BERT with a random head for both classifiers."""
    torch.manual_seed(1)
    model, tokenizer = load_classifier(str(encoder), NAMES).eval(), load_tokenizer(str(encoder))
    setattr(model.config, INT8_ERROR_KEY, int8_error(model, tokenizer, toy[1].texts, 24))
    monkeypatch.setattr(scoring, "MAX_TOKENS", 24)
    monkeypatch.setattr(scoring, "finetuned_minilm", lambda: (model, tokenizer))
    monkeypatch.setattr(scoring, "bert", lambda: copy.deepcopy(model))


@pytest.mark.usefixtures("tiny_scoring")
def test_scoring_on_tiny_models():
    passed(scoring.cases(rows=30), (30, 30))


@pytest.mark.usefixtures("tiny_scoring")
def test_scores_of_other_classes_are_noticed(monkeypatch):
    right = Int8Cascade.logits

    def wrong(self, texts, what=""):
        logits, again = right(self, texts, what)
        return -logits, again

    monkeypatch.setattr(Int8Cascade, "logits", wrong)
    assert all(not pair.checks[0].passed and pair.checks[0].value > 0.9 for pair in scoring.cases(rows=30))


@pytest.fixture
def tiny_training(toy, monkeypatch):
    """A few rows and steps."""
    for name, value in (("ROWS", 48), ("BATCH", 8), ("STEPS", 4), ("SEEDS", 1), ("REAL_STEPS", 300)):
        monkeypatch.setattr(training, name, value)
    for name, value in (("BATCH", 8), ("STEPS", 4), ("SEEDS", 2)):
        monkeypatch.setattr(many_seeds, name, value)


@pytest.mark.usefixtures("tiny_training")
def test_training_on_a_few_rows():
    passed(training.cases(), (32, 32))


@pytest.mark.usefixtures("tiny_training")
def test_a_student_that_does_not_learn_is_noticed(monkeypatch):
    monkeypatch.setattr(training, "train_student", lambda *_, **__: None)
    (pair,) = training.cases()
    assert not pair.checks[0].passed


@pytest.mark.usefixtures("tiny_training")
def test_many_seeds_on_a_few_rows():
    (pair,) = many_seeds.cases(devices.CPU)
    assert pair.wall and pair.goal == 5 and pair.ours() == 2 * 32 and pair.theirs() == 32
    assert all(check.passed for check in pair.checks), pair.checks
    assert run_case(pair, 1).ratio > 0


@pytest.mark.usefixtures("tiny_training")
def test_many_seeds_of_which_one_does_not_learn_are_noticed(monkeypatch):
    def all_but_one(networks, encoded, rows, *, seeds, **settings):
        right(networks[1:], encoded, rows, seeds=seeds[1:], **settings)

    right = many_seeds.train_stacked
    monkeypatch.setattr(many_seeds, "train_stacked", all_but_one)
    (pair,) = many_seeds.cases(devices.CPU)
    assert not pair.checks[0].passed


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_many_seeds_are_left_out_without_a_gpu():
    with pytest.raises(SkippedError, match="PyTorch sees no GPU"):
        many_seeds.cases()
