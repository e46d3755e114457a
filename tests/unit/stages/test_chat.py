"""Rows from a chat model that is prompted and not finetuned: prompts, answers, shards."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from chat_fixtures import make_llama
from tiny_stages import write_texts

from gendist.config.generator_settings import Generator
from gendist.config.prompting_settings import Instruct
from gendist.config.sampling_settings import Sampling
from gendist.errors import GendistError
from gendist.io.json_files import read_json
from gendist.io.parquet import read_metadata
from gendist.jobs import stop_signals
from gendist.jobs.save_timer import SAVE_SECONDS_VARIABLE
from gendist.jobs.work_cleanup import FINISHED
from gendist.nn.pretrained import load_tokenizer
from gendist.stages.generator.generator_folder import GeneratorRecord, read_record_file
from gendist.stages.synthetic import chat_model
from gendist.stages.synthetic.chat_answers import Answer, is_echo, is_refusal, judge_answer, parse_answer
from gendist.stages.synthetic.chat_model import ChatModel
from gendist.stages.synthetic.chat_prompts import ChatPrompts
from gendist.stages.synthetic.pool_reader import finish_counts, read_pool
from gendist.stages.synthetic.prompt_shards import PromptedShards, generate_prompted_shards, prepare_prompts
from gendist.stages.texts.text_tables import read_texts

SAMPLING = Sampling(max_tokens=12, top_p=0.9, seed=5)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_llama(tmp_path_factory.mktemp("models") / "tiny-chat")


def chat(model: Path, **changed: Any) -> Generator:
    return Generator.model_validate({"model": str(model), "instruct": {"examples": 2}, **changed})


def write(shards: list[Path], settings: Generator, train: Path, *, first: int = 0, rows: int = 4, **changed: Any):
    sampling = SAMPLING.model_copy(update=changed)
    work = shards[0].parent / "results/.work"
    generate_prompted_shards(PromptedShards(shards, first, rows), settings, sampling, train=train, work=work)


# --- prompts ---


def test_a_prompt_asks_for_the_class_with_examples_of_it(train_texts: Path):
    real = read_texts(train_texts)
    prompts = ChatPrompts(train_texts, Instruct(examples=3), 7)
    for number in range(9):
        prompt = prompts.prompt(number)
        assert prompt.label == number % 3 and len(set(prompt.examples)) == 3
        assert {real.labels[real.texts.index(text)] for text in prompt.examples} == {prompt.label}
        assert f'category "{real.label_names[prompt.label]}"' in prompt.text
        one, two, _ = prompt.examples
        assert prompt.text.startswith(f"Example 1:\n{one}\n\nExample 2:\n{two}\n\nExample 3:")


def test_examples_are_uniform_and_depend_on_seed_and_row_alone(train_texts: Path):
    first, same, other = (ChatPrompts(train_texts, Instruct(examples=2), seed) for seed in (1, 1, 2))
    assert [first.prompt(n) for n in range(30)] == [same.prompt(n) for n in reversed(range(30))][::-1]
    assert [first.prompt(n).examples for n in range(30)] != [other.prompt(n).examples for n in range(30)]
    counts: dict[str, int] = {}
    for number in range(0, 3600, 3):  # 1,200 prompts of one class with 2 of its 12 texts
        for text in first.prompt(number).examples:
            counts[text] = counts.get(text, 0) + 1
    assert len(counts) == 12 and max(np.abs(np.array(list(counts.values())) - 200)) < 50


def test_a_class_with_few_texts_shows_all(tmp_path: Path):
    train = write_texts(tmp_path / "t.parquet", ["a {label}", "b", "c"], [0, 0, 1], ["x {examples}", "y"])
    prompts = ChatPrompts(train, Instruct(examples=5, prompt="{label}|{examples}|{other}"), 0)
    assert sorted(prompts.prompt(0).examples) == ["a {label}", "b"] and prompts.prompt(1).examples == ("c",)
    assert prompts.prompt(1).text == "y|Example 1:\nc|{other}"
    assert prompts.prompt(0).text.startswith("x {examples}|Example 1:")  # nothing is replaced twice
    with pytest.raises(GendistError, match="no row has label 'z'"):
        ChatPrompts(write_texts(tmp_path / "u.parquet", ["a"], [0], ["x", "z"]), Instruct(), 0)


def test_the_seeds_of_rows_differ_and_are_small(train_texts: Path):
    prompts = ChatPrompts(train_texts, Instruct(), 2**32 - 1)
    seeds = [prompts.row_seed(number) for number in range(500)]
    assert len(set(seeds)) == 500 and min(seeds) >= 0 and max(seeds) < 2**31


# --- answers ---


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("The wave broke.", "The wave broke."),
        ('  "The wave broke."\n', "The wave broke."),
        ("\u201cThe wave broke.\u201d", "The wave broke."),
        ('"Wave" and "tide"', '"Wave" and "tide"'),
        ("Sure! Here is a new text:\n\nThe wave broke.", "The wave broke."),
        ('Here\'s another text in the category "sea":\nThe wave broke.', "The wave broke."),
        ("Here: the wave broke.", "Here: the wave broke."),
        ("Great product: it works.", "Great product: it works."),
        ("Example 5:\nThe wave broke.", "The wave broke."),
        ("**Text 1:** The wave broke.\n\n**Text 2:** The tide came.", "The wave broke."),
        ("1. The wave broke.\n2. The tide came.", "The wave broke."),
        ("1.5 million people came", "1.5 million people came"),
        ("The wave broke.\n\nExample 6:\nThe tide came.", "The wave broke."),
        ("<think>I should write\nof waves.</think>\n\nThe wave broke.", "The wave broke."),
        ("<think>and so on", ""),
        ("```\nThe wave broke.\n```", "The wave broke."),
        ("Line one.\n\nLine two.", "Line one.\n\nLine two."),
        ("", ""),
    ],
)
def test_an_answer_is_reduced_to_its_text(answer: str, text: str):
    assert parse_answer(answer) == text


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that request.",
        "I\u2019m sorry, I can\u2019t help with that.",
        "Sorry, I cannot create such content.",
        "I cannot generate a text that is hateful.",
        "I am unable to write this.",
        "Unfortunately, I am not able to provide that.",
        "As an AI language model, I have no opinions.",
        "I apologize, but I cannot fulfill this request.",
    ],
)
def test_refusals_are_recognised(text: str):
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't log in to my account since Monday.",
        "I cannot believe how good this is!",
        "Sorry to say that the food was cold.",
        "Unfortunately, the ship did not sail.",
        "AI stocks fell on Monday.",
        "I can't wait to go back.",
    ],
)
def test_texts_of_users_are_no_refusals(text: str):
    assert not is_refusal(text)


def test_echoes_are_recognised():
    shown = ["The old harbour was full of boats in the morning.", "Fish!"]
    assert is_echo("the OLD harbour, was full of boats in the morning", shown)
    assert is_echo("fish", shown) and is_echo("The old harbour was full of boats in the morning today", shown)
    assert not is_echo("The old harbour was empty, and no boats came that day.", shown)
    assert not is_echo("Birds!", shown) and not is_echo("", shown)


def test_an_answer_is_judged_once(train_texts: Path):
    prompts = ChatPrompts(train_texts, Instruct(examples=1), 0)
    prompt, instruction = prompts.prompt(0), prompts.prompt(0, 0).text
    judged = [
        judge_answer(Answer(0, text, reason), prompt, instruction)
        for text, reason in [("new words", "stop"), ("new wo", "length"), (" - ", "stop"), ("x", "refusal")]
    ]
    assert judged == [("new words", "stop"), ("new wo", "length"), ("", "empty"), ("x", "refusal")]
    assert judge_answer(Answer(0, prompt.examples[0], "stop"), prompt, instruction)[1] == "echo"
    assert judge_answer(Answer(0, instruction, "stop"), prompt, instruction)[1] == "echo"


# --- shards of a model on this machine ---


def test_rows_are_the_same_for_any_shards_and_batches(llama: Path, train_texts: Path, tmp_path: Path):
    shards = [tmp_path / f"shard-{i:05d}.parquet" for i in range(3)]
    write(shards, chat(llama), train_texts)
    alone = tmp_path / "alone/shard-00001.parquet"
    write([alone], chat(llama), train_texts, first=1, batch_size=1)
    assert pq.read_table(shards[1]).equals(pq.read_table(alone))
    tables = [pq.read_table(shard) for shard in shards]
    assert [row for table in tables for row in table["row"].to_pylist()] == list(range(12))
    assert len({text for table in tables for text in table["text"].to_pylist()}) > 6
    stored = read_metadata(shards[0])
    assert stored["usage"]["prompt_tokens"] > 4 * 50 and stored["usage"]["rows_without_count"] == 0
    assert stored["gendist"]["settings"]["instruct"]["examples"] == 2
    assert list(stored["gendist"]["source_models"]) == ["tiny-chat"]


def test_bf16_weights_give_rows_that_do_not_depend_on_the_batch(llama: Path, train_texts: Path, tmp_path: Path):
    settings = chat(llama, dtype="bf16")
    shards = [tmp_path / f"shard-{i:05d}.parquet" for i in range(2)]
    write(shards, settings, train_texts)
    alone = tmp_path / "alone/shard-00001.parquet"
    write([alone], settings, train_texts, first=1, batch_size=1)
    assert pq.read_table(shards[1]).equals(pq.read_table(alone))
    assert read_metadata(alone)["gendist"]["settings"]["weights"] == "bf16"


def test_a_stopped_job_goes_on_where_it_was(
    llama: Path, train_texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole, cut = tmp_path / "whole/shard-00000.parquet", tmp_path / "cut/shard-00000.parquet"
    write([whole], chat(llama), train_texts, batch_size=2)
    monkeypatch.setenv(SAVE_SECONDS_VARIABLE, "0")
    sampled: list[int] = []
    sample = ChatModel.sample

    def stop_after_two(self: ChatModel, *arguments: Any) -> Any:
        for row in sample(self, *arguments):
            yield row
            sampled.append(row.number)
            if len(sampled) == 2:
                raise stop_signals.Stopped(15)

    monkeypatch.setattr(ChatModel, "sample", stop_after_two)
    with pytest.raises(stop_signals.Stopped):
        write([cut], chat(llama), train_texts, batch_size=2)
    write([cut], chat(llama), train_texts, batch_size=2)
    assert sorted(sampled) == [0, 1, 2, 3] and cut.read_bytes() == whole.read_bytes()
    (finished,) = (tmp_path / "cut/results/.work").rglob(FINISHED)
    assert [Path(file).name for file in read_json(finished)["files"]] == ["shard-00000.parquet"]


def test_the_chat_template_frames_the_prompt(llama: Path, train_texts: Path):
    import torch

    model = ChatModel(chat(llama), SAMPLING, torch.device("cpu"))
    prompt, tokens = model.prompt(ChatPrompts(train_texts, Instruct(examples=1), 0), 4)
    decoded = load_tokenizer(str(llama)).decode(tokens)
    assert decoded == f"<s><|user|>{prompt.text}<|im_end|><|assistant|>"


def test_examples_that_do_not_fit_are_left_out(llama: Path, tmp_path: Path):
    import torch

    train = write_texts(tmp_path / "t.parquet", ["wave " * 120, "tide " * 120, "fish " * 120], [0, 0, 0], ["sea"])
    model = ChatModel(chat(llama), SAMPLING, torch.device("cpu"))
    prompt, tokens = model.prompt(ChatPrompts(train, Instruct(examples=3), 0), 0)
    assert len(prompt.examples) < 3 and len(tokens) + SAMPLING.max_tokens <= 1024
    long = ChatPrompts(train, Instruct(examples=0, prompt="{label} " + "word " * 1200), 0)
    with pytest.raises(GendistError, match=r"exceed its context of 1024; shorten instruct\.prompt"):
        model.prompt(long, 0)


def test_a_model_without_a_template_is_refused(tmp_path: Path, train_texts: Path):
    model = make_llama(tmp_path / "base", None)
    with pytest.raises(GendistError, match="base: has no chat template; take an instruct model, or finetune this one"):
        write([tmp_path / "shard-00000.parquet"], chat(model), train_texts)
    model = make_llama(tmp_path / "broken", "{{ raise_exception('no user turns') }}")
    with pytest.raises(GendistError, match=r"its chat template fails \(no user turns\)"):
        write([tmp_path / "shard-00000.parquet"], chat(model), train_texts)


# --- what others read ---


def test_the_record_says_which_class_each_row_was_requested_for(llama: Path, train_texts: Path, tmp_path: Path):
    target = tmp_path / "generators/chat/config.json"
    prepare_prompts(train_texts, target, chat(llama))
    assert read_record_file(target) == GeneratorRecord(label_names=("sea", "sky", "soil"))
    record = read_json(target.parent / "gendist.json")
    assert record["settings"]["instruct"]["examples"] == 2 and list(record["source_models"]) == ["tiny-chat"]


def test_refusals_and_echoes_are_counted_and_not_used(
    llama: Path, train_texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    texts = {0: "I'm sorry, but I can't help with that.", 1: "a new text", 2: "", 3: None}

    def answer(self: ChatModel, row: Any, prompt_tokens: int) -> Answer:
        echo = ChatPrompts(train_texts, Instruct(examples=2), SAMPLING.seed).prompt(row.number).examples[1]
        return Answer(row.number, echo if texts[row.number] is None else texts[row.number], "stop", prompt_tokens, 1)

    monkeypatch.setattr(chat_model.ChatModel, "answer", answer)
    shard = tmp_path / "shard-00000.parquet"
    write([shard], chat(llama), train_texts)
    assert pq.read_table(shard)["finish"].to_pylist() == ["refusal", "stop", "empty", "echo"]
    pool = read_pool([shard], 4)
    assert (pool.rows.tolist(), pool.texts, pool.empty) == ([1], ["a new text"], 3)
    assert finish_counts([shard], 2) == {"stop": 1, "length": 0, "empty": 0, "refusal": 1, "echo": 0}
