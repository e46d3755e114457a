"""Real Snakemake runs of studies whose generators are adapters, a chat model, and a server."""

import copy
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from chat_fixtures import make_llama
from chat_server import chat_server
from study_paths import pattern
from workflow_fixtures import SMALL_STUDY, Checkout

from gendist.io.json_files import read_json
from gendist.io.parquet import read_metadata
from tools.study_files import STUDY_FILES

pytest.importorskip("peft", reason="needs the extra 'lora'")
pytest.importorskip("openai", reason="needs the extra 'endpoint'")

KEY = "sk-a-key-that-nobody-may-see"
TUNED = {"model": "toy/chat", "lora": {"rank": 2}, "epochs": 1, "unit": "examples", "gradient_checkpointing": False}
CHAT = {"model": "toy/chat", "instruct": {"examples": 2}}


def study(url: str, **endpoint: Any) -> dict[str, Any]:
    """The small study with the three generators; the server is the main one, and two samplings are compared."""
    changed = copy.deepcopy(SMALL_STUDY)
    api = {"endpoint": {"url": url, "model": "served", **endpoint}}
    samplings = {"full": {"max_tokens": 12}, "cool": {"max_tokens": 12, "temperature": 0.7}}
    return {
        **changed,
        "generators": {"api": api, "chat": CHAT, "tuned": TUNED},
        "samplings": samplings,
        "shard_rows": 8,
    }


def test_each_generator_is_planned_like_the_others(own: Checkout):
    make_llama(own.folder / "toy/chat")
    jobs = own.planned(study("http://127.0.0.1:9/v1"))
    shards = {name: jobs.get(name) for name in ("ask_shard", "prompt_shard", "generate_shard")}
    assert shards == {"ask_shard": 2, "prompt_shard": 1, "generate_shard": 1}
    assert (jobs["prepare_prompts"], jobs["finetune_lora"], jobs["draw_sampling"]) == (2, 1, 1)
    assert not {"finetune_generator", "unpack_pocket", "generate_shards"} & set(jobs)


def test_rows_of_all_three_reach_quality_and_students(own: Checkout, monkeypatch: pytest.MonkeyPatch):
    make_llama(own.folder / "toy/chat")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    toy = own.folder / "results/toy"
    targets = [
        "results/toy/quality/api/full/quality.json",
        "results/toy/synthetic/chat/full/shard-00000.parquet",
        "results/toy/synthetic/tuned/full/shard-00000.parquet",
    ]
    with chat_server() as server:
        server.text = lambda body: "I'm sorry, but I can't help with that." if body["seed"] % 2 else "a new tide"
        config = study(server.url)
        printed = own.run(config, *targets)
        refused = sum(body["seed"] % 2 for body in server.requests)
        assert len(server.requests) == 8 and set(server.keys) == {f"Bearer {KEY}"}
    quality = read_json(toy / "quality/api/full/quality.json")
    assert quality["finish"] == {"stop": 8 - refused, "length": 0, "empty": 0, "refusal": refused, "echo": 0}
    assert quality["as_asked"] is not None
    for name in ("chat", "tuned"):
        assert pq.read_table(toy / f"synthetic/{name}/full/shard-00000.parquet").num_rows == 8
    assert read_metadata(toy / "synthetic/api/full/shard-00000.parquet")["usage"]["prompt_tokens"] == 800
    assert KEY not in printed
    files = [file for file in (own.folder / "results").rglob("*") if file.is_file()]
    assert [file for file in files if KEY.encode() in file.read_bytes()] == []
    names = [file.relative_to(own.folder / "results").as_posix() for file in files]
    kinds = {name: [kind.path for kind in STUDY_FILES if pattern(kind).fullmatch(name)] for name in names}
    assert {name: found for name, found in kinds.items() if len(found) != 1} == {}
    # The server is gone: what changes no row asks it nothing.
    again = study(server.url, concurrency=2, retries=0, timeout=3, prices={"input": 1, "output": 2})
    own.write(again)
    planned = own.snakemake("--dry-run", "--cores", "2", "--configfile", "study.yaml", "--", *targets)
    assert planned.returncode == 0 and "Nothing to be done" in planned.stdout, planned.stdout
    for shard in (toy / "synthetic/api/full").glob("shard-*"):
        shard.unlink()
    own.run(again, targets[0])  # from the answers that are kept
    assert read_json(toy / "quality/api/full/quality.json") == quality


def test_a_server_that_fails_ends_the_job_in_one_line(own: Checkout, tmp_path: Path):
    with chat_server() as server:
        pass
    name = own.write(study(server.url, retries=0))
    target = "results/toy/synthetic/api/full/shard-00000.parquet"
    result = own.snakemake("--cores", "1", "--configfile", name, "--", target)
    assert result.returncode != 0 and "Traceback" not in result.stdout
    lines = [line for line in result.stdout.splitlines() if "error: endpoint" in line]
    assert lines and f"error: endpoint {server.url} (model served): cannot be reached" in lines[0]
