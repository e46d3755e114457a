"""A tiny corpus, encoder and finished recipe, shared by the tests of the pocket models."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel

from gendist.artifacts import Provenance
from gendist.pocket import card, packaged
from gendist.pocket.corpus import articles, corpus_files
from gendist.pocket.pretraining import pretrain
from gendist.pocket.settings import Pretraining
from gendist.pocket.vectors import piece_stream, save_vectors, train_tokenizer, train_vectors

WORDS = (
    *("the", "a", "river", "mountain", "city", "player", "won", "lost", "match", "in", "of", "and"),
    *("near", "old", "great", "opened", "music", "river's", "1984", "2.5", "Café"),
)

Ticks = Callable[[], Callable[[], float]]


@pytest.fixture(scope="module")
def one_thread():
    """Threads cost more than they bring on models of this size, and their number changes the last bit of sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def corpus(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty articles of three paragraphs in two files."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    texts = ["\n".join(" ".join(rng.choice(WORDS, 30)) for _ in range(3)) for _ in range(40)]
    for i in range(2):
        pq.write_table(pa.table({"text": texts[i * 20 : i * 20 + 20]}), folder / f"part-{i}.parquet")
    return folder


@pytest.fixture(scope="module")
def base(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT encoder of two layers whose tokenizer, like the embedded one's, asks for cutting and padding."""
    folder = tmp_path_factory.mktemp("base") / "tiny-bert"
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    # The special tokens stand elsewhere than in BERT's vocabulary: no id may be taken for granted.
    special = ["[PAD]", "[SEP]", "[UNK]", "[MASK]", "[CLS]"]
    trainer = trainers.WordPieceTrainer(vocab_size=120, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(articles(corpus_files(corpus)), trainer)
    frame = [(name, special.index(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=frame)
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def settings(corpus: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Pretraining:
    """Settings of a run of twelve steps, by a clock that moves one second per step; 17 steps are one pass."""
    return Pretraining(
        (corpus,),
        tmp_path_factory.mktemp("run"),
        seconds=12,
        layers=3,
        window=16,
        batch=4,
        warmup_steps=2,
        held_out_articles=4,
        checkpoint_seconds=5,
        report_steps=3,
        base=base,
    )


@pytest.fixture(scope="module")
def ticks() -> Ticks:
    """Makes clocks that move one second whenever they are read; a training step reads its clock once."""
    return lambda: map(float, count()).__next__


@pytest.fixture(scope="module")
def trained(settings: Pretraining, ticks: Ticks) -> Pretraining:
    pretrain(settings, ticks())
    return settings


@pytest.fixture(scope="module")
def recipe(trained: Pretraining, corpus: Path) -> Path:
    """The recipe's folder with everything finished."""
    out = trained.out
    files = corpus_files(corpus)
    tokenizer = train_tokenizer(files, size=100)
    (out / "subwords").mkdir()
    tokenizer.save(str(out / packaged.PIECES))
    vectors = train_vectors(piece_stream(files, tokenizer), tokenizer, size=8)
    save_vectors(out / "subwords", vectors, Provenance("pocket-subwords", settings={"window": 5}))
    card.write_hashes(out)
    card.write_figures(out, {"news": {"rows": 7, "nats_per_character": 1.25}})
    return out


@pytest.fixture
def installed(recipe: Path, tmp_path: Path) -> Path:
    """A folder of packaged models, the test's own."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "README.md").write_text(f"# Card\n\n{card.BEGIN}\nold\n{card.CLOSE}\n\nafter\n")
    card.install(recipe, models=folder)
    return folder
