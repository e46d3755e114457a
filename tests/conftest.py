"""Tiny models, tokenizers and datasets, made here: nothing is downloaded."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from tiny_stages import quick, write_texts
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from toy_texts import sentences
from transformers import (
    BertConfig,
    BertLMHeadModel,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)
from workflow_fixtures import CHECKOUT, ROOT, STUDY, Checkout, write_csv

from gendist.config.student_settings import Student, Training
from gendist.io.atomic_files import write_tensors
from gendist.naming import RunKey
from gendist.stages.generator.finetune_generator import finetune_generator

CLS, SEP, PAD, UNK, END = "[CLS]", "[SEP]", "[PAD]", "[UNK]", "<|endoftext|>"


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Threads cost more than they bring on models of this size."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def train_texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_texts(tmp_path_factory.mktemp("texts") / "train.parquet", *sentences(36, 0))


@pytest.fixture(scope="session")
def test_texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_texts(tmp_path_factory.mktemp("texts") / "test.parquet", *sentences(30, 1))


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random GPT-2 of two layers with 290 byte-level pieces."""
    folder = tmp_path_factory.mktemp("models") / "tiny-gpt2"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=290, special_tokens=[END], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(sentences(60, 2)[0], trainer)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END, eos_token=END)
    wrapped.save_pretrained(folder)
    torch.manual_seed(0)
    end = wrapped.eos_token_id
    config = GPT2Config(
        vocab_size=len(wrapped), n_positions=48, n_embd=32, n_layer=2, n_head=2, bos_token_id=end, eos_token_id=end
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def _word_pieces(**tokens: str) -> PreTrainedTokenizerFast:
    special = [PAD, SEP, UNK, CLS]
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNK))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=120, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(sentences(60, 2)[0], trainer)
    frame = [(name, special.index(name)) for name in (CLS, SEP)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{CLS} $A {SEP}", special_tokens=frame)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, cls_token=CLS, sep_token=SEP, pad_token=PAD, unk_token=UNK, **tokens
    )


def _bert_config(vocabulary: int, **changed: object) -> BertConfig:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    return BertConfig(vocab_size=vocabulary, max_position_embeddings=48, **sizes, **changed)


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT encoder of two layers without any head."""
    folder = tmp_path_factory.mktemp("models") / "tiny-bert"
    tokenizer = _word_pieces()
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    BertModel(_bert_config(len(tokenizer))).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def bert_decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT with a causal mask, like the pocket generator."""
    folder = tmp_path_factory.mktemp("models") / "tiny-bert-decoder"
    tokenizer = _word_pieces(bos_token=CLS, eos_token=SEP)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = _bert_config(
        len(tokenizer),
        is_decoder=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    BertLMHeadModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def generator(gpt2: Path, train_texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny GPT-2, finetuned."""
    folder = tmp_path_factory.mktemp("generators") / "gpt2"
    finetune_generator(train_texts, folder, quick(gpt2))
    return folder


@pytest.fixture(scope="session")
def bert_generator(bert_decoder: Path, train_texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny BERT decoder, finetuned."""
    folder = tmp_path_factory.mktemp("generators") / "bert"
    finetune_generator(train_texts, folder, quick(bert_decoder))
    return folder


@pytest.fixture(scope="session")
def subwords(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of embeddings: a tokenizer of about a hundred pieces and vectors of width 16."""
    folder = tmp_path_factory.mktemp("embeddings")
    tokenizer = _word_pieces().backend_tokenizer
    tokenizer.save(str(folder / "tokenizer.json"))
    vectors = np.random.default_rng(0).normal(0, 0.1, (tokenizer.get_vocab_size(), 16)).astype(np.float32)
    write_tensors(folder / "vectors.safetensors", {"vectors": torch.from_numpy(vectors)})
    return folder


@pytest.fixture(scope="session")
def bare(gpt2: Path, encoder: Path, subwords: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which nothing has run; tests only plan in it."""
    folder = tmp_path_factory.mktemp("bare") / "checkout"
    folder.mkdir()
    for name in CHECKOUT:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name)
    toy = folder / "toy"
    for name, model in (("generator", gpt2), ("encoder", encoder), ("subwords", subwords)):
        shutil.copytree(model, toy / name)
    write_csv(toy / "train.csv", 24, 0)
    write_csv(toy / "test.csv", 15, 1)
    return Checkout(folder)


@pytest.fixture(scope="session")
def finished(bare: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which the small study has run to its end; tests only read it and plan in it."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "finished-once"
    with FileLock(shared.with_suffix(".lock")):  # by one of the processes that run tests in parallel
        if not shared.exists():
            checkout = bare.copy(base / "unfinished")
            checkout.run(STUDY)
            checkout.folder.rename(shared)
    return Checkout(shared).copy(tmp_path_factory.mktemp("finished") / "checkout")


@pytest.fixture
def own(bare: Checkout, tmp_path: Path) -> Checkout:
    """A checkout for one test, in which nothing has run."""
    return bare.copy(tmp_path / "checkout")


@pytest.fixture(scope="session")
def exported(train_texts: Path, test_texts: Path, subwords: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small student of the toy texts, exported; beside it lie its run, its held-out scores and the choice."""
    from gendist.stages.export.choose_student import choose_student
    from gendist.stages.export.cross_fit import cross_fit
    from gendist.stages.export.export_student import export_student
    from gendist.stages.students.distil_student import distil_seeds, student_metadata

    folder = tmp_path_factory.mktemp("export")
    student, training = Student(filters=16), Training(epochs=2, min_steps=150, batch_size=8)
    row = student_metadata(RunKey("toy", "kim", "scratch", "default", 0, 0))
    distil_seeds(
        {0: folder / "run"},
        row,
        train=train_texts,
        test=test_texts,
        embeddings=subwords,
        student=student,
        training=training,
    )
    cross_fit(
        folder / "held_out.parquet",
        train=train_texts,
        embeddings=subwords,
        regime="scratch",
        variant="default",
        student=student,
        training=training,
        folds=3,
        seed=0,
    )
    candidate = RunKey("toy", "kim", "scratch", "default", 0, 0)
    choose_student([candidate], [folder / "held_out.parquet"], folder / "choice.json")
    text = {"columns": ["text"], "separator": " "}
    export_student(
        folder / "model",
        choice=folder / "choice.json",
        run=folder / "run",
        test=test_texts,
        embeddings=subwords,
        text=text,
    )
    return folder / "model"
