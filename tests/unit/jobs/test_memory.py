"""What happens when memory runs out: work in smaller pieces, or one line that says what to lower."""

import logging

import numpy as np
import pytest
import torch
from tiny_stages import quick

from gendist.config.sampling_settings import Sampling
from gendist.config.teacher_settings import Teacher
from gendist.errors import GendistError
from gendist.jobs.out_of_memory import is_out_of_memory
from gendist.nn.pretrained import load_classifier, load_tokenizer
from gendist.stages.generator import training_loop
from gendist.stages.generator.finetune_generator import finetune_generator
from gendist.stages.logits.batched_logits import predict_logits
from gendist.stages.synthetic.batch_slots import Slots
from gendist.stages.synthetic.generate_shards import generate_shards
from gendist.stages.teacher import training_loop as teacher_loop
from gendist.stages.teacher.finetune_teacher import finetune_teacher

CPU = "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError(CPU), True),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), False),
        (ValueError("not enough memory"), False),
    ],
)
def test_which_errors_mean_too_little_memory(error, expected):
    assert is_out_of_memory(error) is expected


def test_what_a_real_allocation_says_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for message in caplog.messages if message.startswith("out of memory")]


def too_big(monkeypatch: pytest.MonkeyPatch, rows: int, error: Exception) -> None:
    """Let more than so many rows side by side run out of memory once the first has ended."""
    original = Slots.pop_finished

    def limited(slots):
        for row in original(slots):
            yield row
            if len(slots) > rows:
                raise error

    monkeypatch.setattr(Slots, "pop_finished", limited)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError(CPU)])
def test_a_shard_made_in_smaller_batches_has_the_same_bytes(error, generator, tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    settings = Sampling(max_tokens=16, batch_size=16)
    generate_shards(generator, [tmp_path / "whole.parquet"], settings, first_shard=0, shard_rows=24)
    too_big(monkeypatch, 5, error)
    generate_shards(generator, [tmp_path / "halved.parquet"], settings, first_shard=0, shard_rows=24)
    assert lines(caplog) == [
        "out of memory at batch size 16; continuing with 8",
        "out of memory at batch size 8; continuing with 4",
    ]
    assert (tmp_path / "halved.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_a_row_that_does_not_fit_alone_is_one_line(generator, tmp_path, monkeypatch):
    too_big(monkeypatch, 0, MemoryError())
    with pytest.raises(GendistError, match=r"out of memory with one row at a time; lower max_tokens .*now 16"):
        generate_shards(generator, [tmp_path / "shard.parquet"], Sampling(max_tokens=16), first_shard=0, shard_rows=4)
    assert list(tmp_path.iterdir()) == []


def test_scores_of_smaller_batches_differ_in_the_last_digits_at_most(encoder, test_texts, caplog):
    caplog.set_level(logging.INFO)
    tokenizer, model = load_tokenizer(str(encoder)), load_classifier(str(encoder), ["a", "b", "c"])
    texts = [f"the sea {'and the wind ' * (i % 3)}" for i in range(40)]
    expected = predict_logits(model, tokenizer, texts, 24)
    limit = 150  # tokens, as on a real device

    def forward(module, positional, given):
        if given["input_ids"].numel() > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")

    model.register_forward_pre_hook(forward, with_kwargs=True)
    scores = predict_logits(model, tokenizer, texts, 24)
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert 2 <= len(lines(caplog)) <= 3  # not once more for every batch
    limit = 0
    with pytest.raises(GendistError, match=r"out of memory with a single text of \d+ tokens; lower max_tokens"):
        predict_logits(model, tokenizer, texts, 24)


def limited_losses(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """Let a micro-batch of more than so many rows run out of memory."""
    original = training_loop.summed_loss

    def limited(model, ids, mask):
        if len(ids) > rows:
            raise RuntimeError(CPU)
        return original(model, ids, mask)

    monkeypatch.setattr(training_loop, "summed_loss", limited)


def test_a_generator_takes_fewer_rows_at_once_for_the_same_loss(gpt2, train_texts, tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    settings = quick(gpt2, epochs=1, dropout=0.0, learning_rate=1e-3)
    finetune_generator(train_texts, tmp_path / "whole", settings)
    limited_losses(monkeypatch, 2)
    finetune_generator(train_texts, tmp_path / "halved", settings)
    assert lines(caplog) == ["out of memory with micro-batches of 4 rows; continuing with 2"]
    whole, halved = (
        np.genfromtxt(tmp_path / name / "history.csv", delimiter=",", names=True)["train_nats_per_token"][1]
        for name in ("whole", "halved")
    )
    assert whole == pytest.approx(halved, abs=1e-4)


def test_a_generator_or_teacher_that_does_not_fit_says_what_to_lower(gpt2, encoder, train_texts, tmp_path, monkeypatch):
    limited_losses(monkeypatch, 0)
    with pytest.raises(GendistError, match=r"out of memory with one row at a time; lower window of the generator"):
        finetune_generator(train_texts, tmp_path / "generator", quick(gpt2, epochs=1))

    def padded(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(teacher_loop, "pad_batch", padded)
    with pytest.raises(GendistError, match=r"lower batch_size of the teacher \(now 16\) or its max_tokens"):
        finetune_teacher(train_texts, tmp_path / "teacher", Teacher(model=str(encoder), epochs=1))
    assert list(tmp_path.iterdir()) == []
