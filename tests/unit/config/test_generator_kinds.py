"""Entries of generators: adapters, chat models, endpoints; keys that do not go together."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gendist.config import study_from
from gendist.config.file_checks import require_files
from gendist.config.study_plan import planned_pools
from gendist.errors import GendistError
from tools.config_reference import schema

FILES = {"train": "a.csv", "test": "b.csv", "synthetic": 2000}
API = {"url": "http://127.0.0.1:8000/v1", "model": "m"}
DOCS = Path(__file__).parents[3] / "docs"


def study(generator: dict[str, Any], **others: Any) -> Any:
    return study_from({"datasets": {"news": FILES}, "generators": {"g": generator}, **others})


@pytest.mark.parametrize(
    ("generator", "kind", "recorded"),
    [
        ({"model": "gpt2"}, "finetuned", {"trainable", "epochs"}),
        ({"model": "gpt2", "lora": {"rank": 8}}, "lora", {"lora", "dtype", "epochs"}),
        ({"model": "q", "instruct": {}}, "instruct", {"model", "dtype", "instruct"}),
        ({"endpoint": API}, "endpoint", {"endpoint"}),
        ({"endpoint": API, "instruct": {"examples": 1}}, "endpoint", {"endpoint", "instruct"}),
        ({"rows": "a.csv"}, "rows", {"rows"}),
    ],
)
def test_the_record_of_a_config_is_a_config(generator: dict[str, Any], kind: str, recorded: set[str]):
    made = study(generator)
    dumped = made.model_dump(mode="json")
    keys = set(dumped["generators"]["g"])
    assert made.generators["g"].kind == kind and recorded <= keys
    assert keys == recorded or kind in ("finetuned", "lora")
    assert study_from(dumped) == made
    jsonschema.validate(dumped, schema())


def test_each_kind_stands_in_the_sampling_comparison():
    for generator in ({"model": "q", "instruct": {}}, {"endpoint": API}, {"model": "q", "lora": {}}):
        pools = planned_pools(study(generator))
        assert pools == {("news", "g", "nucleus"): 2000, ("news", "g", "full"): 1000, ("news", "g", "cool"): 1000}


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        (
            {"model": "q", "instruct": {}, "epochs": 3, "seed": 1},
            "key 'generators.g': 'instruct' prompts a model without finetuning; remove epochs, seed, or 'instruct' "
            "(keys accepted with it: model, revision, dtype, instruct)",
        ),
        ({"endpoint": API, "model": "q"}, "'endpoint' prompts a model without finetuning; remove model, or 'endpoint'"),
        ({"endpoint": API, "rows": "a.csv"}, "'rows' uses texts as they are, without a model; remove endpoint, or"),
        ({"model": "q", "instruct": {}, "lora": {}}, "remove lora, or 'instruct'"),
        ({"instruct": {}}, "'instruct' needs 'model'"),
        ({"instruct": {}, "model": "pocket"}, "of a chat model, not 'pocket'"),
        ({"lora": {}, "trainable": "all"}, "'lora' trains adapters alone; remove 'trainable', or 'lora'"),
        ({"dtype": "bf16"}, "'dtype' is for weights that are not trained; add 'lora' or 'instruct'"),
        (
            {"lora": {"rnk": 8}},
            "unknown key 'generators.g.lora.rnk' (did you mean 'rank'?); accepted here: rank, alpha",
        ),
        ({"lora": {"rank": 0}}, "key 'generators.g.lora.rank' is 0; input should be greater than or equal to 1"),
        ({"lora": 16}, "key 'generators.g.lora' is 16; input should be keys: rank, alpha, dropout, targets"),
        ({"lora": True}, "key 'generators.g.lora' is True; input should be keys: rank, alpha"),
        ({"model": "q", "instruct": {"prompt": "write"}}, "'prompt' has no {label}"),
        ({"model": "q", "instruct": {"prompt": "a {label}"}}, "'prompt' has no {examples}"),
        ({"endpoint": {"url": "http://a/v1"}}, "key 'generators.g.endpoint.model' is missing"),
        ({"endpoint": {**API, "url": "127.0.0.1:8000"}}, "'url' is not an address such as http://127.0.0.1:8000/v1"),
        ({"endpoint": {**API, "body": {"seed": 2}}}, "'seed' is set by gendist"),
        ({"endpoint": {**API, "prices": {"input": 1}}}, "key 'generators.g.endpoint.prices.output' is missing"),
        ({"endpoint": {**API, "concurrency": 0}}, "key 'generators.g.endpoint.concurrency' is 0"),
    ],
)
def test_keys_that_do_not_go_together_end_in_one_line(generator: dict[str, Any], message: str):
    with pytest.raises(GendistError) as caught:
        study(generator)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changed",
    [
        {"key_variable": "sk-geheim"},
        {"key_variable": "geheim"},
        {"api_key": "sk-geheim"},
        {"url": "https://user:geheim@example.org/v1"},
        {"url": "https://example.org/v1?api-key=geheim"},
        {"body": {"api_key": "geheim"}},
    ],
)
def test_a_key_in_the_config_is_refused_and_not_shown(changed: dict[str, Any]):
    with pytest.raises(GendistError, match=r"generators\.g\.endpoint") as caught:
        study({"endpoint": {**API, **changed}})
    assert "geheim" not in str(caught.value)


def test_prompt_words_do_not_go_with_whole_texts():
    samplings = {"main": {}, "words": {"prompt_words": 2}}
    with pytest.raises(GendistError, match=r"samplings\.words\.prompt_words: generators\.g writes whole texts"):
        study({"endpoint": API}, samplings=samplings)
    generators = {"pocket": {"model": "pocket"}, "g": {"endpoint": API}}  # which has the first sampling alone
    assert study_from({"datasets": {"news": FILES}, "generators": generators, "samplings": samplings})


def test_requested_settings_leave_out_concurrency_and_prices():
    one = study({"endpoint": {**API, "url": f"{API['url']}/", "concurrency": 2, "prices": {"input": 1, "output": 1}}})
    assert one.generators["g"].requested == study({"endpoint": API}).generators["g"].requested
    assert one.generators["g"].requested["endpoint"] == {**API, "token_limit": "max_tokens", "body": {}}


def test_only_models_that_are_loaded_must_be_there(tmp_path: Path):
    (tmp_path / "a.csv").write_text("text,label\na,x\n")
    files = {"train": str(tmp_path / "a.csv"), "test": str(tmp_path / "a.csv")}
    require_files(study_from({"datasets": {"d": files}, "generators": {"g": {"endpoint": API}}}))
    for extra in ({"instruct": {}}, {"lora": {}}):
        missing = {"model": str(tmp_path / "none"), **extra}
        with pytest.raises(GendistError, match=r"key 'generators\.g\.model'"):
            require_files(study_from({"datasets": {"d": files}, "generators": {"g": missing}}))


def test_the_memory_table_follows_its_formula():
    rows = re.findall(r"^\| [\w.-]+ \|((?: [\d.]+ \|){6})$", (DOCS / "generators.md").read_text(), re.MULTILINE)
    assert len(rows) == 4
    for row in rows:
        billions, layers, width, key, adapted, full = map(float, row.rstrip("|").split("|"))
        assert adapted == round(2 * billions + 16 * 16 * layers * (3 * width + key) / 1e9, 1)
        assert full == round(16 * billions)
