"""The recipe of the pocket models, on tiny models made here."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import BertLMHeadModel

from gendist.errors import GendistError
from gendist.pocket import __main__ as cli
from gendist.pocket import card, generator, packaged
from gendist.pocket.corpus import articles, corpus_files, paragraphs
from gendist.pocket.evaluate import evaluate_files, nats_per_character
from gendist.pocket.generator import pretrain
from gendist.pocket.model import TiedCrossEntropy, encoder_tokenizer, trained_parameters, warm_start
from gendist.pocket.settings import Pretraining
from gendist.pocket.vectors import SPREAD, WINDOW, piece_stream, train_subwords, train_tokenizer, train_vectors

pytest_plugins = ["pocket_fixtures"]


class TestSubwords:
    def test_normalises_like_bpemb(self, corpus: Path):
        tokenizer = train_tokenizer(corpus_files(corpus), size=200)
        assert tokenizer.encode("CAFÉ 1984").tokens == tokenizer.encode("cafe 0000").tokens == ["cafe", "0000"]
        assert tokenizer.encode("2.5").tokens == ["0", ".", "0"]
        assert tokenizer.encode("cityeven").tokens[:2] == ["city", "##e"]
        assert tokenizer.token_to_id("[PAD]") == 0 and tokenizer.token_to_id("[UNK]") == 1

    def test_vectors_follow_the_tokenizer_and_padding_is_zero(self, recipe: Path):
        tokenizer = Tokenizer.from_file(str(recipe / "subwords/tokenizer.json"))
        vectors = load_file(recipe / "subwords/vectors.safetensors")["vectors"]
        assert vectors.shape == (tokenizer.get_vocab_size(), 8) and vectors.dtype == torch.float16
        assert not vectors[0].any() and vectors[1:].any(dim=1).all()

    def test_pieces_are_those_of_the_first_articles_paragraph_by_paragraph(self, recipe: Path, corpus: Path):
        tokenizer = Tokenizer.from_file(str(recipe / "subwords/tokenizer.json"))
        ids = piece_stream(corpus_files(corpus), tokenizer, limit=5)
        lines = [tokenizer.encode(text).ids for text in paragraphs(articles(corpus_files(corpus), limit=5))]
        assert ids.tolist() == [i for line in lines for i in (0, *line, 0)] and len(lines) == 5 * 3

    def test_runs_agree_and_pieces_never_seen_have_vectors_too(self, recipe: Path, corpus: Path):
        tokenizer = Tokenizer.from_file(str(recipe / "subwords/tokenizer.json"))
        ids = piece_stream(corpus_files(corpus), tokenizer)
        seen = np.setdiff1d(ids, [0])
        vectors, again = (train_vectors(ids, tokenizer, size=8) for _ in range(2))
        assert vectors.tobytes() == again.tobytes() and vectors.dtype == np.float32
        assert 20 < len(seen) < len(vectors) - 1
        assert vectors[seen].std() == pytest.approx(SPREAD, rel=1e-3)
        assert not vectors[0].any() and vectors[1:].any(axis=1).all()

    def test_vectors_are_made_anew_for_the_pieces_that_are_there(self, recipe: Path, corpus: Path, tmp_path: Path):
        tokenizer = (recipe / packaged.PIECES).read_bytes()
        Tokenizer.from_str(tokenizer.decode()).save(str(tmp_path / "tokenizer.json"))
        train_subwords(corpus_files(corpus), tmp_path, 100, None, seed=0)
        assert (tmp_path / "tokenizer.json").read_bytes() == tokenizer
        assert sorted(file.name for file in tmp_path.iterdir()) == ["tokenizer.json", "vectors.safetensors"]
        with safe_open(tmp_path / "vectors.safetensors", "pt") as stored:
            made = json.loads(stored.metadata()["gendist"])
        assert set(made["inputs"]) == {"part-0.parquet", "part-1.parquet", "tokenizer.json"}

    def test_an_empty_corpus_is_one_line(self, recipe: Path, tmp_path: Path):
        pq.write_table(pa.table({"text": ["too short"]}), tmp_path / "a.parquet")
        tokenizer = Tokenizer.from_file(str(recipe / "subwords/tokenizer.json"))
        with pytest.raises(GendistError, match="holds no paragraph of 80 characters or more"):
            piece_stream(corpus_files(tmp_path), tokenizer)


class TestPretraining:
    def test_tied_cross_entropy_is_cross_entropy(self):
        torch.manual_seed(0)
        hidden = torch.randn(700, 8, requires_grad=True)
        weight, bias, target = torch.randn(50, 8) / 3, torch.randn(50), torch.randint(50, (700,))
        loss = TiedCrossEntropy.apply(hidden, weight, bias, target)
        (gradient,) = torch.autograd.grad(loss, hidden)
        expected = torch.nn.functional.cross_entropy(hidden @ weight.t() + bias, target)
        (expected_gradient,) = torch.autograd.grad(expected, hidden)
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(gradient, expected_gradient)

    def test_learns(self, trained: Pretraining):
        curve = card.held_out_curve(trained.out / "curve.jsonl")
        assert [point["tokens"] // trained.step_tokens for point in curve] == [1, 6, 11, 12]
        assert curve[-1]["nats_per_character"] < curve[0]["nats_per_character"]
        assert {p.name for p in trained.out.iterdir()} == {
            "body.safetensors", "checkpoint.safetensors", "curve.jsonl", f"stream-{trained.tokens}.npy"
        }  # fmt: skip

    def test_word_embeddings_stay_the_encoders(self, trained_model: BertLMHeadModel, base: Path):
        theirs = load_file(base / "model.safetensors")["embeddings.word_embeddings.weight"]
        assert torch.equal(trained_model.get_input_embeddings().weight, theirs)
        assert torch.equal(trained_model.get_output_embeddings().weight, theirs)

    @pytest.mark.parametrize("killed_at", [1, 6, 11])
    def test_a_killed_run_ends_like_an_unbroken_one(
        self, trained: Pretraining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
    ):
        again = replace(trained, out=tmp_path)
        save = generator.save_checkpoint

        def save_and_die(settings, model, optimizer, step):
            save(settings, model, optimizer, step)
            if step == killed_at:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(generator, "save_checkpoint", save_and_die)
            with pytest.raises(KeyboardInterrupt):
                pretrain(again)
        assert not again.body.exists()
        assert pretrain(again).read_bytes() == trained.body.read_bytes()
        assert card.held_out_curve(again.out / "curve.jsonl") == card.held_out_curve(trained.out / "curve.jsonl")

    def test_a_lost_body_comes_back_from_the_checkpoint(self, trained: Pretraining, tmp_path: Path):
        (tmp_path / "checkpoint.safetensors").write_bytes(trained.checkpoint.read_bytes())
        assert pretrain(replace(trained, out=tmp_path)).read_bytes() == trained.body.read_bytes()
        assert not (tmp_path / "curve.jsonl").exists(), "no step was left to train"

    def test_a_finished_run_is_left_alone_and_more_tokens_go_on(self, trained: Pretraining, tmp_path: Path):
        before = trained.body.stat().st_mtime_ns
        pretrain(trained)
        assert trained.body.stat().st_mtime_ns == before
        more = replace(trained, out=tmp_path, tokens=trained.tokens + 2 * trained.step_tokens)
        (tmp_path / "checkpoint.safetensors").write_bytes(trained.checkpoint.read_bytes())
        with safe_open(pretrain(more), "pt") as body:
            assert json.loads(body.metadata()["gendist"])["settings"]["tokens"] == more.tokens
        with safe_open(more.checkpoint, "pt") as checkpoint:
            assert checkpoint.metadata()["step"] == "14"

    def test_a_longer_stream_goes_on_where_a_shorter_one_ended(self, trained: Pretraining, monkeypatch):
        monkeypatch.setattr(generator, "STRETCH", 4 * trained.window)
        steps = 5 * trained.batch * trained.window
        orders = []
        for tokens in (steps, 2 * steps):
            stream = np.arange(tokens + 1)
            run = replace(trained, tokens=tokens, workers=1)
            orders.append(torch.cat([ids[:, 0] for _, ids in generator.windows(stream, run, rank=0)]))
        whole = len(orders[0]) // 4 * 4  # windows in whole stretches
        assert torch.equal(orders[0][:whole], orders[1][:whole])
        for order in orders:
            assert len(order.unique()) == len(order) and not torch.equal(order, order.sort().values)

    @pytest.mark.slow
    def test_two_workers_take_the_step_of_one(self, trained: Pretraining, tmp_path: Path):
        one = replace(trained, out=tmp_path / "one", tokens=trained.step_tokens)
        two = replace(one, out=tmp_path / "two", workers=2)
        two.out.mkdir()
        (two.out / "rendezvous").write_text("left over from a killed run")
        moments = []
        for run in (one, two):
            pretrain(run)
            tensors = load_file(run.checkpoint)
            moments.append(torch.cat([tensors[n].flatten() for n in sorted(tensors) if n.startswith("exp_avg.")]))
        # The mean gradient of the same four windows, whoever read them; bf16 rounds to 1 in 256.
        assert (moments[0] - moments[1]).norm() < 0.02 * moments[0].norm()
        assert not (two.out / "rendezvous").exists()

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"workers": 3}, "batch of 4 sequences cannot be shared equally by 3 workers"),
            ({"tokens": 63}, "less than one step"),
            ({"seed": 1, "tokens": 900}, "made with seed 0, not 1"),
            ({"tokens": 700}, "has seen 768 tokens already"),
            ({"held_out_articles": 40, "tokens": 901}, "0 tokens after the first 40 articles"),
            ({"corpus": Path("nowhere"), "tokens": 902}, "nowhere: no *.parquet file"),
        ],
    )
    def test_mistakes_are_one_line(self, trained: Pretraining, tmp_path: Path, change: dict, said: str):
        (tmp_path / "checkpoint.safetensors").write_bytes(trained.checkpoint.read_bytes())
        with pytest.raises(GendistError, match=r"^[^\n]*$") as caught:
            pretrain(replace(trained, out=tmp_path, **change))
        assert said in str(caught.value)

    def test_a_corpus_file_that_is_no_parquet_is_one_line(self, tmp_path: Path):
        (tmp_path / "a.parquet").write_text("text")
        with pytest.raises(GendistError, match=r"a\.parquet: not a readable Parquet file"):
            list(articles([tmp_path / "a.parquet"]))


def test_nats_per_character_counts_characters_up_to_the_cut(trained_model: BertLMHeadModel, base: Path, corpus: Path):
    model, tokenizer = trained_model, encoder_tokenizer(base)
    text = "the river " * 100
    ids = torch.tensor([[4, *tokenizer.encode(text, add_special_tokens=False).ids[:14]]])
    with torch.no_grad():
        loss = model(input_ids=ids, labels=ids).loss.item()
    # Sixteen tokens hold the start, and room for an end that a cut text does not get.
    cut = tokenizer.encode(text, add_special_tokens=False).offsets[13][1]
    assert nats_per_character(model, tokenizer, [text], 16) == pytest.approx(loss * 14 / cut, rel=1e-5)
    scores = evaluate_files(model, tokenizer, corpus_files(corpus), rows=3)
    assert scores[corpus.name]["rows"] == 6
    with pytest.raises(GendistError, match="empty"):
        nats_per_character(model, tokenizer, [])


class TestCommandLine:
    def test_help(self, capsys: pytest.CaptureFixture[str]):
        for arguments in (["--help"], ["unpack", "--help"]):
            with pytest.raises(SystemExit) as end:
                cli.main(arguments)
            assert end.value.code == 0
        said = capsys.readouterr().out
        assert "--tokens" in said and "examples:" in said and "--to" in said

    def test_trains_evaluates_and_skips_what_is_finished(
        self, corpus: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ):
        arguments = ["--corpus", str(corpus), "--out", str(tmp_path), "--base", str(base), "--workers", "1"]
        arguments += ["--tokens", "1e3", "--pieces", "100", "--articles", "20"]
        arguments += ["--evaluate", str(corpus / "part-0.parquet"), "--evaluate-rows", "2"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cli, "Pretraining", _short)
            assert cli.main(arguments) == 0
            files = [tmp_path / n for n in (packaged.BODY, packaged.VECTORS)]
            times = [file.stat().st_mtime_ns for file in files]
            assert cli.main(arguments) == 0
        assert [file.stat().st_mtime_ns for file in files] == times
        assert f"{corpus.name}: " in capsys.readouterr().out
        figures = json.loads((tmp_path / "figures.json").read_text())
        assert figures["subwords"]["settings"] == {"pieces": 99, "articles": 20, "window": WINDOW, "spread": SPREAD}

    def test_mistakes_are_one_line(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        assert cli.main(["--corpus", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
        assert capsys.readouterr().err.startswith(f"error: corpus {tmp_path}: no *.parquet file")


def _short(*arguments, **options) -> Pretraining:
    """The recipe's settings but for what a corpus of forty articles is too small for."""
    return Pretraining(*arguments, **options, window=16, batch=4, held_out_articles=4)


def test_frozen_parameters_are_the_word_embeddings_alone(base: Path):
    model = warm_start(base=base)
    names = {name for name, _ in trained_parameters(model)}
    assert {name for name, _ in model.named_parameters()} - names == {"bert.embeddings.word_embeddings.weight"}
