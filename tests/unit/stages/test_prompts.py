"""Rows that start from a label's name or from real words, and generators of several models."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tiny_stages import quick, write_texts
from toy_texts import NAMES, WORDS, sentences
from workflow_fixtures import STUDY, Checkout, entry

from gendist.config.sampling_settings import Sampling
from gendist.errors import GendistError
from gendist.io.parquet import read_metadata
from gendist.io.provenance import hash_file, hash_folder
from gendist.nn.pretrained import load_causal_lm, load_tokenizer
from gendist.stages.generator import training_sequences
from gendist.stages.generator.finetune_generator import finetune_generator
from gendist.stages.generator.generator_folder import KEY, GeneratorRecord, read_record
from gendist.stages.synthetic import logits_filter
from gendist.stages.synthetic.generate_shards import generate_shards
from gendist.stages.synthetic.philox import gumbel_noise, random_indices
from gendist.stages.synthetic.row_prompts import PromptBuilder, first_words
from gendist.stages.texts.text_tables import read_texts


@pytest.fixture(scope="module")
def conditional(gpt2: Path, train_texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny GPT-2, finetuned on label names and texts: two models."""
    folder = tmp_path_factory.mktemp("generators") / "conditional"
    finetune_generator(train_texts, folder, quick(gpt2, conditional=True, finetunes=2, held_out=0.1, epochs=12))
    return folder


@pytest.fixture(scope="module")
def conditional_bert(bert_decoder: Path, train_texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generators") / "conditional-bert"
    finetune_generator(train_texts, folder, quick(bert_decoder, conditional=True))
    return folder


def rows_of(generator, folder, total, shard_rows, train=None, threads=1, **settings):
    """A pool's first rows, written in shards of some size."""
    table = []
    for shard in range(total // shard_rows):
        file = folder / "shard.parquet"
        chosen = Sampling(**{"max_tokens": 16, **settings})
        generate_shards(
            generator, [file], chosen, first_shard=shard, shard_rows=shard_rows, threads=threads, train=train
        )
        table += pq.read_table(file).to_pylist()
    assert [row["row"] for row in table] == list(range(total))
    return table


def topic(text):
    """The label whose words are most in a text."""
    counts = [sum(text.count(word) for word in words) for words in WORDS]
    return int(np.argmax(counts)) if max(counts) else -1


# --- finetuning ---


def test_a_prompt_stands_before_each_text_and_changes_none_of_its_tokens(gpt2):
    tokenizer = load_tokenizer(str(gpt2))
    texts = ["the wave", "the sea " * 50]
    plain = training_sequences.tokenize_rows(tokenizer, texts, limit=20, start=0, end=0)
    prompted = training_sequences.tokenize_rows(tokenizer, texts, limit=20, start=0, end=0, prompts=["sky:", "soil:"])
    for row, bare, name in zip(prompted, plain, ("sky:", "soil:"), strict=True):
        ids = tokenizer(name)["input_ids"]
        assert row == [0, *ids, *bare[1:]][:20]
    with pytest.raises(GendistError, match=r"prompt 'sky:' has \d+ tokens; at most 1 leave room for a text"):
        training_sequences.tokenize_rows(tokenizer, texts, limit=3, start=0, end=0, prompts=["sky:", "soil:"])


def test_a_label_name_that_fills_the_window_is_refused(gpt2, tmp_path):
    texts, labels = sentences(12, 0)
    train = write_texts(tmp_path / "train.parquet", texts, labels, ["sea", "sky", "soil and all that is in it " * 3])
    with pytest.raises(GendistError, match=r"prompt 'soil and all .* leave room for a text"):
        finetune_generator(train, tmp_path / "out", quick(gpt2, conditional=True))
    assert [f.name for f in tmp_path.iterdir()] == ["train.parquet"]


def test_a_conditional_generator_reads_labels_and_records_their_names(conditional, gpt2, train_texts, tmp_path):
    assert read_record(conditional) == GeneratorRecord(label_names=NAMES, members=2, int8=True, stochastic=True)
    texts, labels = sentences(36, 0)
    other = write_texts(tmp_path / "other.parquet", texts, labels[::-1])
    hashes = []
    for name, train in (("one", train_texts), ("two", train_texts), ("relabelled", other)):
        finetune_generator(train, tmp_path / name, quick(gpt2, epochs=1, conditional=True))
        hashes.append(hash_folder(tmp_path / name))
    assert hashes[0] == hashes[1] != hashes[2]


def test_members_are_whole_models_of_their_own_seeds(conditional, gpt2, train_texts, tmp_path):
    settings = {"conditional": True, "held_out": 0.1, "epochs": 12}
    for k in (0, 1):
        finetune_generator(train_texts, tmp_path / str(k), quick(gpt2, seed=k, **settings))
    for folder, single in ((conditional, tmp_path / "0"), (conditional / "member-1", tmp_path / "1")):
        for name in ("model.safetensors", "history.csv", "tokenizer.json"):
            assert hash_file(folder / name) == hash_file(single / name)
        load_causal_lm(str(folder)), load_tokenizer(str(folder))
    assert hash_file(conditional / "model.safetensors") != hash_file(conditional / "member-1/model.safetensors")


def test_the_folder_of_a_single_unprompted_model_is_a_plain_one(generator):
    assert read_record(generator) == GeneratorRecord(int8=True, stochastic=True)
    assert type(load_causal_lm(str(generator))).__name__ == "GPT2LMHeadModel"
    assert [f for f in generator.iterdir() if f.is_dir()] == []


def test_members_of_an_earlier_run_do_not_survive_and_count_as_content(gpt2, train_texts, tmp_path):
    hashes = set()
    for finetunes in (3, 2, 1):
        finetune_generator(train_texts, tmp_path / "out", quick(gpt2, epochs=0.2, finetunes=finetunes))
        folders = sorted(f.name for f in (tmp_path / "out").iterdir() if f.is_dir())
        assert folders == [f"member-{k}" for k in range(1, finetunes)]
        # The first model is the same; the declared config.json says that the others are not.
        hashes |= {hash_folder(tmp_path / "out"), hash_file(tmp_path / "out/config.json")}
    assert len(hashes) == 6
    weights = tmp_path / "out/member-1"
    shutil.copytree(gpt2, weights)
    assert hash_folder(tmp_path / "out") not in hashes


def test_a_generator_that_is_finetuned_again_loses_its_labels(conditional, train_texts, tmp_path):
    finetune_generator(train_texts, tmp_path / "out", quick(conditional, epochs=0.2))
    assert read_record(tmp_path / "out") == GeneratorRecord(int8=True, stochastic=True)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"members": 0}, r"config\.json: key 'gendist' is {'members': 0}; expected 'label_names'"),
        ({"label_names": "sea"}, "key 'gendist' is {'label_names': 'sea'}"),
        ({"members": 3}, r"member-2: missing, but .*config\.json lists 3 models; delete the folder"),
    ],
)
def test_a_damaged_record_ends_in_one_line(conditional, tmp_path, record, message):
    shutil.copytree(conditional, tmp_path / "out")
    file = tmp_path / "out/config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), KEY: record}))
    with pytest.raises(GendistError, match=message):
        generate_shards(tmp_path / "out", [tmp_path / "shard.parquet"], Sampling(), first_shard=0, shard_rows=2)


# --- which row gets what ---


def test_labels_are_balanced_and_every_model_writes_of_every_label():
    record = GeneratorRecord(label_names=("a", "b", "c", "d"), members=2)
    seen = Counter((record.label_of(row), record.member_of(row)) for row in range(40))
    assert seen == {(label, member): 5 for label in range(4) for member in range(2)}
    assert [record.label_of(row) for row in range(5)] == [0, 1, 2, 3, 0]
    assert [GeneratorRecord(members=3).member_of(row) for row in range(5)] == [0, 1, 2, 0, 1]


def test_picks_are_uniform_stable_and_apart_from_the_noise_of_tokens():
    rows = np.arange(30_000)
    drawn = random_indices(5, rows, np.full(30_000, 7))
    assert set(drawn.tolist()) == set(range(7))
    assert np.abs(np.bincount(drawn) / 30_000 - 1 / 7).max() < 0.01
    assert np.array_equal(random_indices(5, rows[[9, 2]], np.array([7, 7])), drawn[[9, 2]])
    assert not np.array_equal(random_indices(6, rows, np.full(30_000, 7)), drawn)
    uniform = np.exp(-np.exp(-gumbel_noise(5, rows, np.zeros(30_000), 1)[:, 0]))
    fine = random_indices(5, rows, np.full(30_000, 10**6)) / 10**6
    assert abs(np.corrcoef(uniform, fine)[0, 1]) < 0.03


def test_first_words():
    assert first_words("  the wave  and\nfish", 3) == "the wave  and"
    assert first_words("the wave", 9) == "the wave" and first_words(" ", 2) == ""


def test_real_words_are_of_the_row_s_label_and_leave_room(conditional, train_texts):
    record, real = read_record(conditional), read_texts(train_texts)
    tokenizer = load_tokenizer(str(conditional))
    prompts = PromptBuilder(tokenizer, record, Sampling(prompt_words=2), train_texts).prompts(range(60), 48)
    starts = [{first_words(t, 2) for t, c in zip(real.texts, real.labels, strict=True) if c == k} for k in range(3)]
    drawn = [tokenizer.decode(prompts[row].words) for row in range(60)]
    assert all(words in starts[row % 3] for row, words in enumerate(drawn)) and len(set(drawn)) > 8
    assert [tokenizer.decode(prompts[row].label) for row in range(3)] == ["sea:", "sky:", "soil:"]
    tight = PromptBuilder(tokenizer, record, Sampling(prompt_words=99), train_texts).prompts(range(60), 12)
    assert max(1 + len(prompt.tokens) for prompt in tight.values()) == 12 - 1


def test_real_words_need_training_texts_of_the_generator_s_labels(conditional, generator, tmp_path):
    texts, labels = sentences(12, 0)
    other = write_texts(tmp_path / "other.parquet", texts, labels, ["sea", "sky", "mud"])
    partial = write_texts(tmp_path / "partial.parquet", texts, [min(label, 1) for label in labels])
    settings = Sampling(prompt_words=2)
    for folder, train, message in (
        (generator, None, "prompt_words is 2, but no training texts were given"),
        (generator, tmp_path / "absent.parquet", r"absent\.parquet: no such file"),
        (
            conditional,
            other,
            r"other\.parquet: labels are sea, sky, mud; the generator was .* on sea, sky, soil",
        ),
        (conditional, partial, r"partial\.parquet: no row has label 'soil'"),
    ):
        with pytest.raises(GendistError, match=message):
            generate_shards(folder, [tmp_path / "shard.parquet"], settings, first_shard=0, shard_rows=2, train=train)
    assert not (tmp_path / "shard.parquet").exists()


# --- generated rows ---


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("generator", {"prompt_words": 3}),
        ("bert_generator", {"prompt_words": 2, "top_p": 0.9}),
        ("conditional", {}),
        ("conditional", {"prompt_words": 2, "temperature": 0.7, "top_k": 20}),
        ("conditional_bert", {"prompt_words": 1}),
    ],
)
def test_prompted_rows_depend_on_nothing_else(model, settings, train_texts, tmp_path, request):
    folder = request.getfixturevalue(model)
    expected = rows_of(folder, tmp_path, 24, 24, train_texts, batch_size=64, **settings)
    assert len({row["text"] for row in expected}) > 10
    try:
        for shard_rows, batch_size, threads in ((4, 1, 1), (12, 5, 2)):
            again = rows_of(folder, tmp_path, 24, shard_rows, train_texts, threads, batch_size=batch_size, **settings)
            assert again == expected
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("model", ["conditional", "conditional_bert"])
def test_prompted_rows_are_equal_if_all_is_redrawn_in_float64(model, train_texts, tmp_path, monkeypatch, request):
    folder = request.getfixturevalue(model)
    expected = rows_of(folder, tmp_path, 9, 9, train_texts, prompt_words=2)
    monkeypatch.setattr(logits_filter, "MARGIN", 1e9)
    assert rows_of(folder, tmp_path, 9, 9, train_texts, prompt_words=2) == expected


def test_the_label_decides_the_topic_and_is_taken_off(conditional, tmp_path):
    rows = rows_of(conditional, tmp_path, 90, 90, temperature=0.6)
    assert not any(":" in row["text"] for row in rows)
    right = [topic(row["text"]) == row["row"] % 3 for row in rows]
    assert np.mean(right) > 0.6  # a third by chance


def test_rows_are_those_of_their_models(conditional, tmp_path):
    rows = rows_of(conditional, tmp_path, 18, 18)
    alone, pool_record = [], json.loads((conditional / "config.json").read_text())[KEY]
    for k, folder in enumerate((conditional, conditional / "member-1")):
        shutil.copytree(folder, tmp_path / str(k), ignore=shutil.ignore_patterns("member-*", "gendist.json"))
        config = json.loads((tmp_path / str(k) / "config.json").read_text())
        (tmp_path / str(k) / "config.json").write_text(json.dumps({**config, KEY: {**pool_record, "members": 1}}))
        alone.append(rows_of(tmp_path / str(k), tmp_path, 18, 18))
    assert alone[0] != alone[1]
    assert rows == [alone[row // 3 % 2][row] for row in range(18)]


def test_a_shard_smaller_than_the_number_of_models(gpt2, train_texts, tmp_path):
    finetune_generator(train_texts, tmp_path / "out", quick(gpt2, epochs=1, finetunes=3))
    assert rows_of(tmp_path / "out", tmp_path, 6, 2) == rows_of(tmp_path / "out", tmp_path, 6, 6)


def test_real_words_open_the_text_and_count_as_its_tokens(generator, train_texts, tmp_path):
    rows = rows_of(generator, tmp_path, 24, 24, train_texts, prompt_words=3)
    starts = {first_words(text, 3) for text in read_texts(train_texts).texts}
    assert all(any(row["text"].startswith(start) for start in starts) for row in rows)
    cut = [row["n_tokens"] for row in rows_of(generator, tmp_path, 9, 9, train_texts, prompt_words=3, max_tokens=1)]
    tokenizer = load_tokenizer(str(generator))
    prompts = PromptBuilder(tokenizer, GeneratorRecord(), Sampling(prompt_words=3), train_texts).prompts(range(9), 48)
    assert all(count - len(prompts[row].words) in (0, 1) for row, count in enumerate(cut)) and max(cut) > 3
    # The context is shared by prompt and text: start token, words and what follows.
    long = rows_of(generator, tmp_path, 24, 24, train_texts, prompt_words=3, max_tokens=4000, temperature=9.0)
    assert max(row["n_tokens"] for row in long) == 47


def test_provenance_names_the_training_texts_only_if_they_were_read(generator, train_texts, tmp_path):
    for words, inputs in ((0, {"generator"}), (1, {"generator", "train"})):
        file = tmp_path / f"{words}.parquet"
        generate_shards(
            generator,
            [file],
            Sampling(max_tokens=4, prompt_words=words),
            first_shard=0,
            shard_rows=3,
            train=train_texts,
        )
        record = read_metadata(file)["gendist"]
        assert set(record["inputs"]) == inputs
        assert record["inputs"].get("train", hash_file(train_texts)) == hash_file(train_texts)


# --- the workflow ---


def test_training_texts_are_an_input_of_generation_only_with_prompt_words(bare: Checkout):
    target = "results/toy/synthetic/tiny/full/shard-00000.parquet"
    for study, needed in ((STUDY, False), (entry("samplings", "full", prompt_words=2), True)):
        options = ["--dry-run", "--quiet", "host", "--cores", "1", "--configfile", bare.write(study)]
        result = bare.snakemake(*options, "--", target)
        assert result.returncode == 0, result.stdout
        job = result.stdout.partition("rule generate_shard:")[2].partition("output:")[0]
        assert "generators/tiny/config.json" in job
        assert ("results/toy/texts/train.parquet" in job) is needed
