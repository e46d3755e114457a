"""The recipe of the pocket models, on tiny models made here."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tokenizers import Tokenizer

from gendist.errors import GendistError
from gendist.nn.pocket import packaged
from gendist.nn.pocket.packaged import TOKENIZER
from gendist.nn.pocket.tokenizer import generator_tokenizer
from gendist.nn.pocket.unpack import unpack_generator
from gendist.nn.pretrained import load_causal_lm
from tools.pocket import __main__ as cli
from tools.pocket import model_card as card
from tools.pocket import pretraining
from tools.pocket.checkpoint import PretrainingState
from tools.pocket.corpus import articles, corpus_files, paragraphs
from tools.pocket.evaluate_generator import evaluate_files, nats_per_character
from tools.pocket.generator_model import NextTokenLoss, stack_encoder, trained_weights
from tools.pocket.optimizers import learning_rate_factor, make_optimizers, optimizer_step
from tools.pocket.pretraining import pretrain
from tools.pocket.pretraining_settings import Pretraining
from tools.pocket.subword_vectors import (
    VECTOR_STD,
    WINDOW,
    piece_stream,
    train_subwords,
    train_tokenizer,
    train_vectors,
)
from tools.pocket.token_windows import held_out_windows, iter_batches, training_stream, window_starts

pytest_plugins = ["pocket_fixtures"]

VOCABULARY = 109
"""Of the tiny encoder."""


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
        assert vectors[seen].std() == pytest.approx(VECTOR_STD, rel=1e-3)
        assert not vectors[0].any() and vectors[1:].any(axis=1).all()

    def test_vectors_are_made_anew_for_the_pieces_that_are_there(self, recipe: Path, corpus: Path, tmp_path: Path):
        tokenizer = (recipe / packaged.PIECES).read_bytes()
        Tokenizer.from_str(tokenizer.decode()).save(str(tmp_path / "tokenizer.json"))
        train_subwords(corpus_files(corpus), tmp_path, pieces=100, n_articles=None, seed=0)
        assert (tmp_path / "tokenizer.json").read_bytes() == tokenizer
        assert sorted(file.name for file in tmp_path.iterdir()) == ["tokenizer.json", "vectors.safetensors"]
        with safe_open(tmp_path / "vectors.safetensors", "pt") as stored:
            made = json.loads(stored.metadata()["gendist"])
        assert set(made["inputs"]) == {"part-0.parquet", "part-1.parquet", "tokenizer.json"}

    def test_an_empty_corpus_is_one_line(self, recipe: Path, tmp_path: Path):
        pq.write_table(pa.table({"text": ["too short"]}), tmp_path / "a.parquet")
        tokenizer = Tokenizer.from_file(str(recipe / "subwords/tokenizer.json"))
        with pytest.raises(GendistError, match="has no paragraph of 80 characters or more"):
            piece_stream(corpus_files(tmp_path), tokenizer)


class TestModel:
    def test_layers_are_the_encoders_in_turn(self, base: Path):
        stored = load_file(base / "model.safetensors")
        model = stack_encoder(base, 5, np.ones(VOCABULARY))
        for i, layer in enumerate(model.bert.encoder.layer):
            theirs = stored[f"encoder.layer.{i % 2}.intermediate.dense.weight"]
            assert torch.equal(layer.intermediate.dense.weight, theirs)
        assert len(model.bert.encoder.layer) == 5 and model.config.is_decoder

    def test_padded_vocabulary_has_no_probability_and_is_cut_off(self, base: Path):
        model = stack_encoder(base, 2, np.arange(VOCABULARY))
        logits = model(input_ids=torch.arange(20)[None]).logits
        assert logits.shape == (1, 20, 128)
        assert not logits.softmax(-1)[..., VOCABULARY:].any()
        weights = trained_weights(model, VOCABULARY)
        assert weights["bert.embeddings.word_embeddings.weight"].shape == (VOCABULARY, 32)
        assert weights["cls.predictions.bias"].shape == (VOCABULARY,)
        assert not any("decoder" in name for name in weights)

    def test_starts_at_the_unigram_frequencies_with_types_added_to_positions(self, base: Path):
        stored = load_file(base / "model.safetensors")
        counts = np.arange(VOCABULARY)
        weights = dict(stack_encoder(base, 2, counts).named_parameters())
        expected = torch.tensor((counts + 0.1) / (counts + 0.1).sum())
        torch.testing.assert_close(weights["cls.predictions.bias"][:VOCABULARY].exp(), expected.float())
        types = stored["embeddings.token_type_embeddings.weight"]
        positions = stored["embeddings.position_embeddings.weight"] + types[0]
        assert torch.equal(weights["bert.embeddings.position_embeddings.weight"], positions)
        assert not weights["bert.embeddings.token_type_embeddings.weight"].any()

    def test_the_loss_is_the_cross_entropy_of_the_next_token(self, base: Path):
        model = stack_encoder(base, 2, np.ones(VOCABULARY)).eval()
        ids = torch.randint(VOCABULARY, (3, 9), generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            log_likelihood = model(input_ids=ids).logits.log_softmax(-1)[:, :-1].gather(2, ids[:, 1:, None])
            loss = NextTokenLoss(model, compiled=False)(ids)
        assert float(loss) == pytest.approx(-float(log_likelihood.mean()), rel=0.01)


class TestWindows:
    def test_a_pass_reads_every_window_once_from_an_offset_of_its_own(self, settings: Pretraining):
        starts = [window_starts(1000, settings, epoch) for epoch in range(4)]
        for order in starts:
            assert np.array_equal(np.sort(order), order.min() + 16 * np.arange(61))
            assert 0 <= order.min() < 16 and order.max() + 16 < 1000
            assert not np.array_equal(order, np.sort(order))
        assert len({order.min() for order in starts}) > 1

    def test_batches_resume_in_the_middle_of_a_pass(self, settings: Pretraining):
        stream = torch.arange(1000)  # 15 steps are one pass
        unbroken = list(islice(iter_batches(stream, settings), 40))
        assert all(ids.shape == (4, 17) and torch.equal(ids, ids[:, :1] + torch.arange(17)) for ids in unbroken)
        assert len(torch.cat(unbroken[:15])[:, 0].unique()) == 60
        for first in (1, 14, 15, 16, 31):
            resumed = list(islice(iter_batches(stream, settings, first), 40 - first))
            assert all(map(torch.equal, resumed, unbroken[first:]))

    def test_the_first_articles_are_scored_and_never_trained_on(self, settings: Pretraining, tmp_path: Path):
        tokenizer = generator_tokenizer(settings.base)
        tokens = {}
        for held_out in (4, 20):
            run = replace(settings, out=tmp_path, held_out_articles=held_out)
            run.checkpoint.parent.mkdir(exist_ok=True)
            tokens[held_out] = training_stream(run, tokenizer)
        texts = list(articles(corpus_files(run.corpora[0])))
        ids = [i for text in paragraphs(texts[20:]) for i in (4, *tokenizer.encode(text).ids[1:], 1)]
        assert tokens[20].tolist() == ids == tokens[4][-len(ids) :].tolist()
        first = tokenizer.encode(texts[0].split("\n")[0]).ids
        assert held_out_windows(run, tokenizer)[0].tolist() == first[:17]

    def test_a_corpus_that_is_listed_twice_is_read_twice(self, settings: Pretraining, tmp_path: Path):
        tokenizer = generator_tokenizer(settings.base)
        pq.write_table(pa.table({"text": ["the old city near the great river " * 4]}), tmp_path / "a.parquet")
        lengths = []
        for repeated in range(3):
            run = replace(settings, corpora=(*settings.corpora, *[tmp_path] * repeated), out=tmp_path)
            run.checkpoint.parent.mkdir(exist_ok=True)
            lengths.append(len(training_stream(run, tokenizer)))
        assert lengths[2] - lengths[1] == lengths[1] - lengths[0] == 30


class TestOptimizers:
    def test_muon_has_the_matrices_of_the_blocks_and_adamw_all_other_trained_weights(self, settings: Pretraining):
        model = stack_encoder(settings.base, 3, np.ones(VOCABULARY))
        state = PretrainingState(model, make_optimizers(model, settings))
        muon, adamw = ({n for n, _, optimizer in state.parameters() if optimizer is one} for one in state.optimizers)
        parameters = dict(model.named_parameters())
        assert muon == {n for n, p in parameters.items() if ".layer." in n and p.ndim == 2}
        assert len(muon) == 3 * 6 and not muon & adamw
        assert set(parameters) - muon - adamw == {"bert.embeddings.token_type_embeddings.weight"}

    def test_an_update_of_a_matrix_has_a_fifth_of_the_rate_as_its_size(self, settings: Pretraining):
        model = stack_encoder(settings.base, 1, np.ones(VOCABULARY)).train()
        weight = model.bert.encoder.layer[0].intermediate.dense.weight
        before = weight.detach().clone()
        optimizers = make_optimizers(model, replace(settings, weight_decay=0.0))
        weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
        optimizer_step(optimizers, 0.5, settings)
        # Muon's few iterations leave singular values of 0.7 to 1.2 in place of 1.
        assert float((weight.detach() - before).square().mean().sqrt()) == pytest.approx(0.2 * 0.5 * 2e-3, rel=0.15)
        assert weight.grad is None

    def test_rates_rise_by_steps_and_fall_to_zero_over_the_last_share_of_the_time(self, settings: Pretraining):
        run = replace(settings, seconds=100, warmup_steps=4, decay_share=0.4)
        assert [learning_rate_factor(step, 0, run) for step in range(5)] == [0.25, 0.5, 0.75, 1, 1]
        rates = [learning_rate_factor(1000, seconds, run) for seconds in (0, 59, 80, 90, 100, 101)]
        assert rates == pytest.approx([1, 1, 0.5, 0.25, 0, 0])

    def test_an_old_pytorch_is_one_line(self, settings: Pretraining, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.delattr(torch.optim, "Muon")
        with pytest.raises(GendistError, match=r"needs PyTorch 2\.9 or newer"):
            make_optimizers(stack_encoder(settings.base, 1, np.ones(VOCABULARY)), settings)


class TestPretraining:
    def test_learns(self, trained: Pretraining):
        curve = card.held_out_curve(trained.curve)
        assert [point["tokens"] // trained.step_tokens for point in curve] == [5, 10, 12]
        assert curve[-1]["nats_per_token"] < curve[0]["nats_per_token"] < np.log(VOCABULARY)
        steps = [json.loads(line)["step"] for line in trained.curve.read_text().splitlines()]
        assert steps == [3, 5, 6, 9, 10, 12]
        names = {p.name for p in trained.checkpoint.parent.iterdir()}
        (tokens,) = trained.checkpoint.parent.glob("tokens-*.npy")
        model = {Path(name).name for name in packaged.GENERATOR}
        assert names == {"checkpoint.safetensors", "curve.jsonl", tokens.name} | model

    def test_reports_speed_and_the_time_left(
        self, settings: Pretraining, tmp_path: Path, caplog: pytest.LogCaptureFixture, ticks: Callable
    ):
        with caplog.at_level("INFO"):
            pretrain(replace(settings, out=tmp_path, seconds=6), ticks())
        assert "'step': 3, 'tokens': 192, 'seconds': 3.0" in caplog.text
        assert "64 tokens/s, 0.1 minutes left" in caplog.text and "64 tokens/s, 0.0 minutes left" in caplog.text

    @pytest.mark.parametrize("killed_at", [5, 10, 12])
    def test_a_killed_run_ends_like_an_unbroken_one(
        self, trained: Pretraining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int, ticks: Callable
    ):
        again = replace(trained, out=tmp_path)
        save = pretraining.save_checkpoint

        def save_and_die(settings: Pretraining, state: PretrainingState, corpus: str) -> None:
            save(settings, state, corpus)
            if state.step == killed_at:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(pretraining, "save_checkpoint", save_and_die)
            with pytest.raises(KeyboardInterrupt):
                pretrain(again, ticks())
        assert not again.weights.exists()
        assert pretrain(again, ticks()).read_bytes() == trained.weights.read_bytes()
        assert card.held_out_curve(again.curve) == card.held_out_curve(trained.curve)

    def test_lost_weights_come_back_from_the_checkpoint(self, trained: Pretraining, tmp_path: Path, ticks: Callable):
        again = _with_checkpoint_of(trained, replace(trained, out=tmp_path))
        assert pretrain(again, ticks()).read_bytes() == trained.weights.read_bytes()
        assert not again.curve.exists(), "no step was left to train"

    def test_a_finished_run_is_left_alone_and_more_time_trains_on(
        self, trained: Pretraining, tmp_path: Path, ticks: Callable
    ):
        before = trained.weights.stat().st_mtime_ns
        pretrain(trained, ticks())
        assert trained.weights.stat().st_mtime_ns == before
        more = _with_checkpoint_of(trained, replace(trained, out=tmp_path, seconds=14))
        with safe_open(pretrain(more, ticks()), "pt") as weights:
            assert json.loads(weights.metadata()["gendist"])["settings"]["seconds"] == 14
        with safe_open(more.checkpoint, "pt") as checkpoint:
            assert json.loads(checkpoint.metadata()["gendist"])["step"] == 14

    def test_a_loss_that_is_no_number_is_one_line(
        self, settings: Pretraining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ticks: Callable
    ):
        monkeypatch.setattr(NextTokenLoss, "__call__", lambda self, ids: self.model.cls.predictions.bias.sum() * np.nan)
        with pytest.raises(GendistError, match="step 3: the loss is nan; lower the learning rates"):
            pretrain(replace(settings, out=tmp_path), ticks())

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"batch": 0}, "batch must be above 0, not 0"),
            ({"decay_share": 1.5}, "decay_share must be at most 1, not 1.5"),
            (
                {"corpora": (Path("a"), Path("b"), Path("a"))},
                "corpus a: the first corpus contains the held-out articles",
            ),
            ({"seed": 1}, "made with seed 0, not 1; delete it"),
            ({"layers": 2}, "made with layers 3, not 2; delete it"),
            ({"held_out_articles": 5}, "made with corpus "),
            ({"seconds": 11}, "already trained for 12 s, more than 11 s"),
            ({"held_out_articles": 40}, "0 tokens after the first 40 held-out articles"),
            ({"window": 60, "held_out_articles": 1, "batch": 100}, "one step needs 6000 (100 windows of 60)"),
            ({"corpora": (Path("nowhere"),)}, "nowhere: no *.parquet file"),
        ],
    )
    def test_mistakes_are_one_line(
        self, trained: Pretraining, tmp_path: Path, change: dict, message: str, ticks: Callable
    ):
        with pytest.raises(GendistError, match=r"^[^\n]*$") as caught:
            pretrain(_with_checkpoint_of(trained, replace(trained, out=tmp_path, **change)), ticks())
        assert message in str(caught.value)

    def test_a_corpus_file_that_is_no_parquet_is_one_line(self, tmp_path: Path):
        (tmp_path / "a.parquet").write_text("text")
        with pytest.raises(GendistError, match=r"a\.parquet: not a readable Parquet file"):
            list(articles([tmp_path / "a.parquet"]))


def _with_checkpoint_of(finished: Pretraining, run: Pretraining) -> Pretraining:
    run.checkpoint.parent.mkdir()
    run.checkpoint.write_bytes(finished.checkpoint.read_bytes())
    return run


def test_nats_per_character_counts_characters_up_to_the_cut(recipe: Path, corpus: Path, tmp_path: Path):
    unpack_generator(tmp_path / "generator", recipe)
    model, tokenizer = load_causal_lm(str(tmp_path / "generator")).eval(), Tokenizer.from_file(str(recipe / TOKENIZER))
    text = "the river " * 100
    ids = torch.tensor([[4, *tokenizer.encode(text, add_special_tokens=False).ids[:14]]])
    with torch.no_grad():
        loss = -model(input_ids=ids).logits.log_softmax(-1)[0, :-1].gather(1, ids[0, 1:, None]).mean().item()
    # Sixteen tokens have the start, and room for an end that a cut text does not get.
    cut = tokenizer.encode(text, add_special_tokens=False).offsets[13][1]
    assert nats_per_character(model, tokenizer, [text], 16) == pytest.approx(loss * 14 / cut, rel=1e-5)
    scores = evaluate_files(recipe, corpus_files(corpus), rows=3)
    read = [text for file in corpus_files(corpus) for text in articles([file], limit=3)]
    expected = round(nats_per_character(model, tokenizer, read), 4)
    assert scores == {corpus.name: {"rows": 6, "nats_per_character": expected}}
    with pytest.raises(GendistError, match="empty"):
        nats_per_character(model, tokenizer, [])


class TestCommandLine:
    def test_help(self, capsys: pytest.CaptureFixture[str]):
        for arguments in (["--help"], ["unpack", "--help"]):
            with pytest.raises(SystemExit) as end:
                cli.main(arguments)
            assert end.value.code == 0
        said = capsys.readouterr().out
        assert "--minutes" in said and "examples:" in said and "--to" in said

    def test_trains_evaluates_and_skips_what_is_finished(
        self, corpus: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ):
        arguments = ["--corpus", str(corpus), "--out", str(tmp_path), "--base", str(base)]
        arguments += ["--minutes", "0.001", "--batch", "4", "--pieces", "100", "--articles", "20"]
        arguments += ["--evaluate", str(corpus / "part-0.parquet"), "--evaluate-rows", "2"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cli, "Pretraining", _short)
            assert cli.main(arguments) == 0
            files = [tmp_path / n for n in (packaged.WEIGHTS, packaged.VECTORS)]
            times = [file.stat().st_mtime_ns for file in files]
            assert cli.main(arguments) == 0
        assert [file.stat().st_mtime_ns for file in files] == times
        assert f"{corpus.name}: " in capsys.readouterr().out
        figures = json.loads((tmp_path / "figures.json").read_text())
        assert figures["subwords"]["settings"] == {"pieces": 99, "articles": 20, "window": WINDOW, "spread": VECTOR_STD}

    def test_mistakes_are_one_line(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        assert cli.main(["--corpus", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
        assert capsys.readouterr().err.startswith(f"error: corpus {tmp_path}: no *.parquet file")


def _short(*arguments, **options) -> Pretraining:
    """The recipe's settings but for what a corpus of forty articles is too small for."""
    return Pretraining(*arguments, **options, layers=2, window=16, held_out_articles=4)
