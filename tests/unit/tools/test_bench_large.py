"""Benchmarks for GPUs, with small models on a CPU, and how long the paper's study would take."""

import pyarrow.parquet as pq
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel

from gendist.config.study_loader import load_study
from gendist.nn import devices
from tools.bench import finetuning, large_generation, paper, roofline
from tools.bench.paper import SIZES, Shapes, Stage, amounts, stages, table
from tools.bench.timed_pairs import SkippedError

REAL = {"ag_news": 400, "dbpedia": 1400, "yahoo_answers": 1000}


@pytest.fixture(scope="module")
def study():
    return load_study(paper.CONFIG)


def small_gpt2():
    return GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=99, n_positions=128)).eval()


def small_bert():
    config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    return BertForSequenceClassification(config).eval()


def test_what_the_paper_asks_for_is_counted(study):
    found = amounts(study, SIZES)
    rows = 13_600 + 2 * 25_000
    assert found["generate, full"] == 100 * rows
    assert found["generate, cool"] == found["generate, nucleus"] == 100 * 3 * 5000
    assert found["score synthetic rows"] == rows + 3 * 3 * 5000
    assert found["score real rows"] == 2800 + 7600 + 70_000 + 60_000
    assert found["finetune generators"] == 100 * 2800
    assert found["finetune teachers"] == pytest.approx(2800 * 10 * 1.9)
    # Five seeds on three datasets: blend alone and distilled, res in three ways.
    assert found["test students, blend"] == 2 * 5 * 137_600
    assert found["test students, res"] == 3 * 5 * 137_600
    # 400 rows in batches of 32 make 13 steps; eight epochs of them are fewer than the minimum of 300.
    blend = sum(max(300, rows // 2, 8 * -(-rows // 32)) for rows in REAL.values())
    assert found["train students, blend"] == 2 * 5 * blend


def test_every_stage_is_measured(study, monkeypatch):
    few = {"students": {"kim": study.students["kim"]}, "samplings": {"full": study.samplings["full"]}, "seeds": 2}
    study = study.model_copy(update=few)
    monkeypatch.setattr(paper, "TOKENS", 5)
    shapes = Shapes(small_gpt2, small_bert, rows=8, generated=8)
    every = dict.fromkeys(paper.measurements(study, devices.CPU, shapes), 100.0)
    monkeypatch.setattr(paper, "amounts", lambda *_: every)
    made = list(stages(study, devices.CPU, shapes, sizes=SIZES))
    assert {stage.stage for stage in made} == {
        "generate, full",
        "finetune generators",
        "finetune teachers",
        "score real rows",
        "score synthetic rows",
        "train students, kim",
        "test students, kim",
    }
    assert all(0 < stage.rate < 1e7 for stage in made)
    some = stages(study, devices.CPU, Shapes(None, None, rows=8), sizes=SIZES, kinds=["train"])
    assert [stage.stage for stage in some] == ["train students, kim"]  # no other model is made


def test_the_table_sums_up():
    text = table([Stage("generate, full", "tokens", 7200.0, 1.0), Stage("score", "rows", 100.0, 10.0)])
    assert "| generate, full | 7,200 tokens | 1 | 2:00:00 |" in text
    assert text.endswith("| one after the other | | | 2:00:10 |\n")


def test_the_command_prints_and_keeps_each_stage_at_once(monkeypatch, tmp_path, capsys):
    def some(*_, sizes, kinds):
        assert sizes is SIZES and kinds == ["score"]
        yield Stage("score", "rows", 100.0, 10.0)
        assert "| score | 100 rows | 10 | 0:10 |" in capsys.readouterr().err
        assert pq.read_table(tmp_path / "paper.parquet").num_rows == 1
        yield Stage("score more", "rows", 300.0, 10.0)

    monkeypatch.setattr(paper, "stages", some)
    assert paper.main(["score", "--device", "cpu", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert printed.index("| score more | 300 rows") < printed.index("| score | 100 rows | 10 | 0:10 |")
    assert pq.read_table(tmp_path / "paper.parquet").to_pylist()[0] == {
        "stage": "score",
        "unit": "rows",
        "amount": 100.0,
        "rate": 10.0,
        "seconds": 10.0,
    }
    with pytest.raises(SystemExit):
        paper.main(["draw"])
    assert "unknown stage 'draw'; accepted: generate, finetune, score, train, test" in capsys.readouterr().err


def test_finetuning_is_timed_against_a_plain_loop(monkeypatch):
    monkeypatch.setattr(finetuning, "gpt2", lambda size: small_gpt2())
    (pair,) = finetuning.cases(torch.device("cpu"), windows=2)
    assert pair.wall and not pair.checks  # memory is counted on a GPU
    assert pair.ours() == pair.theirs() == 2 * 128


@pytest.mark.parametrize("group", [finetuning, large_generation])
def test_benchmarks_for_gpus_are_left_out_without_one(group):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SkippedError, match="no GPU"):
        group.cases()


def test_generation_is_held_against_what_the_device_could_do(monkeypatch):
    monkeypatch.setattr(large_generation, "gpt2", lambda size: small_gpt2())
    monkeypatch.setattr(large_generation, "TOKENS", 12)
    monkeypatch.setattr(large_generation, "CHECKED_ROWS", 20)
    plain, continuous = large_generation.cases(torch.device("cpu"), rows=40, bounds=(2**16, 64))
    seconds, missed, apart = plain.checks
    assert 0 < seconds.value < 3600 and 0 < missed.value < 1
    assert apart.passed
    assert 20 < plain.ours() <= 40 * 12 and 20 < plain.theirs() <= 40 * 12
    assert continuous.ours is plain.ours and "continuous" in continuous.baseline


def test_a_roofline_is_the_slower_of_moving_and_multiplying():
    roof = roofline.Roofline(100.0, 1000.0)
    assert roof.seconds(moved=200.0, operations=1000.0) == 2.0
    assert roof.seconds(moved=100.0, operations=5000.0) == 5.0


def test_what_a_token_takes_at_least_is_counted():
    config = GPT2Config(n_embd=10, n_layer=2, vocab_size=50)
    moved, operations = large_generation.bytes_and_operations_per_token(config, rows=4)
    weights, past = 2 * 12 * 100 + 500, 100 * 2 * 10  # of a hundred tokens, fifty are there on average: keys and values
    assert moved == 2 * (weights / 4 + past) and operations == 2 * (weights + past)
