import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_stages import quick, write_texts
from toy_texts import sentences
from transformers import GPT2Config, LlamaConfig, LlamaForCausalLM

from gendist.config.generator_settings import Generator
from gendist.errors import GendistError
from gendist.nn.pretrained import load_causal_lm, load_tokenizer
from gendist.stages.generator import loss, training_loop, training_sequences
from gendist.stages.generator.activation_memory import activation_bytes, uses_checkpointing
from gendist.stages.generator.finetune_generator import boundary_tokens, finetune_generator, freeze
from gendist.stages.generator.training_loop import nats_per_token


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def history(folder: Path) -> np.ndarray:
    return np.genfromtxt(folder / "history.csv", delimiter=",", names=True)


@pytest.mark.parametrize("model", ["gpt2", "bert_decoder"])
@pytest.mark.parametrize("unit", ["windows", "examples"])
def test_finetuning_lowers_the_loss_on_unseen_texts(model, unit, train_texts, tmp_path, request):
    folder = request.getfixturevalue(model)
    finetune_generator(train_texts, tmp_path / "out", quick(folder, unit=unit, window=32, batch_size=2))
    losses = []
    for place in (folder, tmp_path / "out"):
        network, tokenizer = load_causal_lm(str(place)), load_tokenizer(str(place))
        start, end = boundary_tokens(network.config, tokenizer, "")
        rows = training_sequences.tokenize_rows(tokenizer, sentences(20, 9)[0], limit=48, start=start, end=end)
        losses.append(nats_per_token(network, rows))
    assert losses[1] < losses[0] - 0.5


def test_two_runs_give_the_same_bytes_and_labels_are_not_read(gpt2, train_texts, tmp_path):
    texts, labels = sentences(36, 0)
    other = write_texts(tmp_path / "other.parquet", texts, labels[::-1])
    for name, train in (("one", train_texts), ("two", train_texts), ("relabelled", other)):
        finetune_generator(train, tmp_path / name, quick(gpt2, epochs=1))
    assert weights(tmp_path / "one") == weights(tmp_path / "two") == weights(tmp_path / "relabelled")
    one, two = ({f.name: f.read_bytes() for f in (tmp_path / n).iterdir()} for n in ("one", "two"))
    assert one == two
    finetune_generator(train_texts, tmp_path / "seed", quick(gpt2, epochs=1, seed=1))
    assert weights(tmp_path / "seed") != weights(tmp_path / "one")


@pytest.mark.parametrize("trainable", ["hidden", "everything"])
def test_chunked_cross_entropy_is_cross_entropy(trainable, monkeypatch):
    monkeypatch.setattr(loss, "CHUNK_TOKENS", 7)
    torch.manual_seed(0)
    parts = [torch.randn(20, 8), torch.randn(50, 8) / 3, torch.randn(50)]
    wanted = parts if trainable == "everything" else parts[:1]
    for part in wanted:
        part.requires_grad_()
    target = torch.randint(50, (20,))
    found = loss.ChunkedCrossEntropy.apply(*parts, target)
    expected = torch.nn.functional.cross_entropy(torch.nn.functional.linear(*parts), target, reduction="sum")
    torch.testing.assert_close(found, expected)
    ours, theirs = (torch.autograd.grad(3 * value, wanted) for value in (found, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert not loss.ChunkedCrossEntropy.apply(*(part.detach() for part in parts), target).requires_grad
    with torch.autocast("cpu", torch.bfloat16):
        near = loss.ChunkedCrossEntropy.apply(*parts, target)
        (gradient,) = torch.autograd.grad(near, parts[:1])
    torch.testing.assert_close(near, expected, rtol=0.01, atol=0)
    assert gradient.dtype == torch.float32


@pytest.mark.parametrize("name", ["gpt2", "bert_decoder"])
def test_the_summed_loss_is_the_models_own(name, request):
    model = load_causal_lm(str(request.getfixturevalue(name))).eval()
    ids = torch.randint(4, model.config.vocab_size, (3, 11))
    mask = (torch.arange(11) < torch.tensor([[11], [6], [2]])).long()
    own = model(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100)).loss
    torch.testing.assert_close(loss.summed_loss(model, ids, mask), own * 16)
    # Rows of one length need no mask, on a GPU.
    torch.testing.assert_close(loss.summed_loss(model, ids, None), loss.summed_loss(model, ids, torch.ones_like(ids)))


def test_other_architectures_compute_their_own_loss():
    config = LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    model = LlamaForCausalLM(config).eval()
    ids = torch.randint(3, 50, (2, 9))
    own = model(input_ids=ids, labels=ids).loss
    for mask in (torch.ones_like(ids), None):
        torch.testing.assert_close(loss.summed_loss(model, ids, mask), own * 16)


class OnGpu(torch.nn.Module):
    """The shape of GPT-2 345M, its blocks trainable, on a GPU that is not there."""

    config = GPT2Config(n_embd=1024, n_layer=24, n_head=16)
    device = torch.device("cuda")

    def parameters(self, recurse: bool = True):
        yield torch.empty(302_000_000, device="meta", requires_grad=True)
        yield torch.empty(53_000_000, device="meta")


@pytest.mark.parametrize(
    ("free", "changed", "expected"),
    [
        (10e9, {}, False),  # the paper's 12 GB, weights in it
        (6e9, {}, True),
        (80e9, {"batch_size": 64}, True),
        (10e9, {"gradient_checkpointing": True}, True),
        (1e9, {"gradient_checkpointing": False}, False),
    ],
)
def test_activations_are_recomputed_where_a_gpu_lacks_the_memory(free, changed, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (int(free), int(85e9)))
    assert uses_checkpointing(OnGpu(), Generator(**changed)) is expected
    assert activation_bytes(OnGpu.config, Generator()) == 68 * 1024 * 1024 * 24


@pytest.mark.parametrize("model", ["gpt2", "bert_decoder"])
def test_blocks_alone_are_trained(model, train_texts, tmp_path, request):
    folder = request.getfixturevalue(model)
    finetune_generator(train_texts, tmp_path / "out", quick(folder, epochs=1, trainable="blocks"))
    before, after = load_causal_lm(str(folder)), load_causal_lm(str(tmp_path / "out"))
    changed = {n for n, p in after.named_parameters() if not torch.equal(p, before.get_parameter(n))}
    assert changed and all(".0." in name or ".1." in name for name in changed)
    # Bit for bit, the output layer that is tied to them included.
    assert torch.equal(before.get_input_embeddings().weight, after.get_input_embeddings().weight)
    assert torch.equal(before.get_output_embeddings().weight, after.get_output_embeddings().weight)


def test_gradient_checkpointing_saves_memory_not_weights(gpt2, train_texts, tmp_path):
    model = load_causal_lm(str(gpt2))
    freeze(model, Generator())
    assert any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
    for name, on in (("on", True), ("off", False)):
        settings = quick(gpt2, epochs=1, gradient_checkpointing=on, trainable="blocks")
        finetune_generator(train_texts, tmp_path / name, settings)
    on, off = (load_file(tmp_path / name / "model.safetensors") for name in ("on", "off"))
    for name in on:
        torch.testing.assert_close(on[name], off[name], rtol=0, atol=1e-6)


def test_the_best_weights_on_held_out_rows_are_kept(gpt2, train_texts, tmp_path, monkeypatch):
    scripted = iter([3.0, 2.0, 1.0, 1.5, 1.4, 0.5])
    monkeypatch.setattr(training_loop, "nats_per_token", lambda model, rows: next(scripted))
    finetune_generator(train_texts, tmp_path / "out", quick(gpt2, epochs=9, held_out=0.2, patience=2))
    assert history(tmp_path / "out")["held_out_nats_per_token"].tolist() == [3.0, 2.0, 1.0, 1.5, 1.4]
    scripted = iter([3.0, 2.0, 1.0])
    monkeypatch.setattr(training_loop, "nats_per_token", lambda model, rows: next(scripted))
    finetune_generator(train_texts, tmp_path / "short", quick(gpt2, epochs=2, held_out=0.2))
    assert weights(tmp_path / "short") == weights(tmp_path / "out")


def test_a_model_that_only_gets_worse_is_left_as_it_was(gpt2, train_texts, tmp_path, monkeypatch):
    scripted = iter([1.0, 2.0])
    monkeypatch.setattr(training_loop, "nats_per_token", lambda model, rows: next(scripted))
    finetune_generator(train_texts, tmp_path / "out", quick(gpt2, held_out=0.2))
    before, after = load_causal_lm(str(gpt2)), load_causal_lm(str(tmp_path / "out"))
    assert all(torch.equal(p, before.get_parameter(n)) for n, p in after.named_parameters())


def test_fractions_of_an_epoch_and_the_schedule(gpt2, train_texts, tmp_path):
    finetune_generator(train_texts, tmp_path / "out", quick(gpt2, epochs=1.5))
    assert history(tmp_path / "out")["epoch"].tolist() == [0, 1, 2]
    linear = Generator(schedule="linear", warmup=0.2)
    factors = [training_loop.learning_rate_factor(step, 10, linear) for step in range(10)]
    assert factors == pytest.approx([0.5, 1.0, 1.0, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])
    assert [training_loop.learning_rate_factor(step, 10, Generator()) for step in range(10)] == [1.0] * 10


def test_windows_cover_as_many_tokens_as_the_texts():
    rows = [[9, 1, 2, 9], [9, 3, 9], [9, 4, 5, 6, 9]]
    drawn = list(training_sequences.random_windows(rows, 5, 9, np.random.default_rng(0)))
    stream = [9, 1, 2, 9, 3, 9, 4, 5, 6, 9]  # one separator between two texts
    assert len(drawn) == 2 and all(len(window) == 5 for window in drawn)
    assert all(any(stream[i : i + 5] == window for i in range(6)) for window in drawn)
    assert list(training_sequences.random_windows(rows, 100, 9, np.random.default_rng(0))) == [stream]
    apart = [[8, 1, 9], [8, 2, 9]]  # BERT: start and end differ, and both stay
    assert list(training_sequences.random_windows(apart, 100, 8, np.random.default_rng(0))) == [[8, 1, 9, 8, 2, 9]]


def test_examples_come_once_each_in_random_order():
    rows = [[i] for i in range(20)]
    drawn = list(training_sequences.shuffled_rows(rows, np.random.default_rng(0)))
    assert sorted(drawn) == rows and drawn != rows


def test_long_texts_lose_their_end_token(gpt2):
    tokenizer = load_tokenizer(str(gpt2))
    short, cut = training_sequences.tokenize_rows(tokenizer, ["the", "the sea " * 50], limit=20, start=0, end=0)
    assert short[0] == short[-1] == 0 and len(cut) == 20 and cut[-1] != 0


def test_provenance_and_a_folder_of_transformers(generator, gpt2):
    record = json.loads((generator / "gendist.json").read_text())
    assert record["stage"] == "generator" and set(record["inputs"]) == {"train"} and record["seed"] == 0
    assert list(record["source_models"]) == ["tiny-gpt2"] and len(record["source_models"]["tiny-gpt2"]) == 64
    assert str(gpt2.parent) not in json.dumps(record)
    assert {"config.json", "model.safetensors", "tokenizer.json", "history.csv"} <= {
        f.name for f in generator.iterdir()
    }


@pytest.mark.parametrize(
    "changed", [{"learning_rate": 1e30}, {"learning_rate": 1e39, "epochs": 0.1}, {"held_out": 0.1}]
)
def test_divergence_ends_in_one_line_and_leaves_nothing(gpt2, train_texts, tmp_path, changed):
    # A config takes no such rate; a lower one would take longer to get there.
    settings = quick(gpt2).model_copy(update={"learning_rate": 1e30, "epochs": 2, **changed})
    with pytest.raises(GendistError, match=r"finetuning diverged at step \d+; lower learning_rate"):
        finetune_generator(train_texts, tmp_path / "out", settings)
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_an_end_token(gpt2, train_texts, tmp_path):
    endless = tmp_path / "endless"
    shutil.copytree(gpt2, endless)
    for file, keys in (("config.json", ["bos", "eos"]), ("tokenizer_config.json", ["bos", "eos"])):
        content = json.loads((endless / file).read_text())
        for key in keys:
            content[f"{key}_token_id"] = None
            content.pop(f"{key}_token", None)
        (endless / file).write_text(json.dumps(content))
    with pytest.raises(GendistError, match="endless: has no end-of-text token"):
        finetune_generator(train_texts, tmp_path / "out", quick(endless))


def test_models_that_are_not_there(train_texts, tmp_path, encoder):
    for model, message in (
        ("./absent", r"model \./absent: no such folder"),
        (str(tmp_path), "no config.json in that folder"),
    ):
        with pytest.raises(GendistError, match=message):
            finetune_generator(train_texts, tmp_path / "out", quick(Path("x"), model=model))
    broken = tmp_path / "broken"
    shutil.copytree(encoder, broken)
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(GendistError, match="broken: cannot be loaded") as caught:
        finetune_generator(train_texts, tmp_path / "out", quick(broken))
    assert "\n" not in str(caught.value)
