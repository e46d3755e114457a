"""Rows from a server: a real one on the loopback address, with all its faults."""

import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from chat_server import ChatServer, Handler, always, chat_server, completion, first_times, slowly

from gendist.config.generator_settings import Generator
from gendist.config.prompting_settings import Endpoint
from gendist.config.sampling_settings import Sampling
from gendist.errors import GendistError
from gendist.io.parquet import read_metadata
from gendist.jobs import stop_signals
from gendist.stages.synthetic import endpoint_client, endpoint_pool
from gendist.stages.synthetic.endpoint_client import EndpointClient, retry_after
from gendist.stages.synthetic.prompt_shards import PromptedShards, generate_prompted_shards

pytest.importorskip("openai", reason="needs the extra 'endpoint'")

KEY = "sk-a-key-that-nobody-may-see"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(endpoint_client, "FIRST_PAUSE", 0.01)
    with chat_server() as running:
        yield running


def generator(server: ChatServer, **changed: Any) -> Generator:
    endpoint = {"url": server.url, "model": "tiny-chat", "retries": 3, "timeout": 10, **changed}
    return Generator.model_validate({"endpoint": endpoint})


def ask(
    server: ChatServer, train: Path, folder: Path, *, first: int = 0, count: int = 1, rows: int = 6, **changed: Any
) -> list[Path]:
    """Write shards of a pool; returns them."""
    shards = [folder / f"shard-{shard:05d}.parquet" for shard in range(first, first + count)]
    sampling = Sampling(temperature=0.8, top_p=0.9, max_tokens=40, seed=3)
    generate_prompted_shards(PromptedShards(shards, first, rows), generator(server, **changed), sampling, train=train)
    return shards


def test_a_shard_has_the_answers_in_the_order_of_the_rows(server: ChatServer, train_texts: Path, tmp_path: Path):
    (shard,) = ask(server, train_texts, tmp_path)
    table = pq.read_table(shard)
    assert table.column_names == ["row", "text", "n_tokens", "finish"]
    seeds = {body["messages"][0]["content"]: body["seed"] for body in server.requests}
    assert len(set(seeds.values())) == 6 and all(0 <= seed < 2**31 for seed in seeds.values())
    assert table["row"].to_pylist() == list(range(6)) and set(table["finish"].to_pylist()) == {"stop"}
    assert {text.split()[-2] for text in table["text"].to_pylist()} == {str(seed) for seed in seeds.values()}
    assert table["n_tokens"].to_pylist() == [6] * 6
    stored = read_metadata(shard)
    assert stored["usage"] == {"prompt_tokens": 600, "completion_tokens": 36, "rows_without_count": 0}
    assert stored["finish_counts"] == {"stop": 6, "length": 0, "empty": 0, "refusal": 0, "echo": 0}
    record = stored["gendist"]
    assert record["settings"]["endpoint"] == {
        "url": server.url, "model": "tiny-chat", "token_limit": "max_tokens", "body": {},
    }  # fmt: skip
    assert record["source_models"] == {"tiny-chat": "behind an endpoint"} and record["seed"] == 3


def test_a_request_has_the_sampling_and_what_the_config_adds(server: ChatServer, train_texts: Path, tmp_path: Path):
    ask(server, train_texts, tmp_path, rows=1, token_limit="max_completion_tokens", body={"reasoning_effort": "low"})
    (body,) = server.requests
    del body["messages"], body["seed"]
    assert body == {
        "model": "tiny-chat", "temperature": 0.8, "top_p": 0.9, "max_completion_tokens": 40, "reasoning_effort": "low",
    }  # fmt: skip


def test_requests_of_a_row_do_not_depend_on_shards(server: ChatServer, train_texts: Path, tmp_path: Path):
    together = ask(server, train_texts, tmp_path / "a", count=3, rows=2)
    bodies = {body["seed"]: body for body in server.requests}
    server.requests.clear()
    (alone,) = ask(server, train_texts, tmp_path / "b", first=1, rows=2)
    assert all(bodies[body["seed"]] == body for body in server.requests) and len(server.requests) == 2
    assert pq.read_table(alone).equals(pq.read_table(together[1]))


def test_the_number_of_requests_at_a_time_is_bounded(server: ChatServer, train_texts: Path, tmp_path: Path):
    server.fault = slowly(0.05)
    ask(server, train_texts, tmp_path, rows=12, concurrency=3)
    assert server.most_running == 3 and len(server.requests) == 12


FAULTS: dict[str, Callable[[Handler], None]] = {
    "429": lambda handler: handler.reply(429, {"error": {"message": "slow down"}}, Retry_After="0.05"),
    "500": lambda handler: handler.reply(500, b"<html>oops</html>"),
    "503": lambda handler: handler.reply(503, {}),
    "cut": Handler.cut,
    "closed": lambda handler: handler.connection.shutdown(socket.SHUT_RDWR),
    "html": lambda handler: handler.reply(200, b"<html>hello</html>"),
    "half json": lambda handler: handler.reply(200, b'{"choices": [{"message"'),
    "no choices": lambda handler: handler.reply(200, {"choices": []}),
    "a list": lambda handler: handler.reply(200, [1, 2]),
    "a number": lambda handler: handler.reply(200, completion(7)),  # type: ignore[arg-type]
    "nothing": lambda handler: handler.reply(200, b""),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_fault_the_request_is_sent_again(server: ChatServer, train_texts: Path, tmp_path: Path, fault: str):
    server.fault = first_times(3, FAULTS[fault])
    (shard,) = ask(server, train_texts, tmp_path, rows=4)
    assert len(server.requests) == 7
    assert all(text.startswith("the wave") for text in pq.read_table(shard)["text"].to_pylist())


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("429", "status 429: .*slow down"),
        ("500", "status 500"),
        ("cut", "cannot be reached|request failed"),
        ("html", r"not in OpenAI's format \(not JSON\): '<html>hello</html>'; is the url right"),
        ("no choices", r"no choices\[0\]\.message"),
    ],
)
def test_a_fault_that_stays_ends_in_one_line(
    server: ChatServer, train_texts: Path, tmp_path: Path, fault: str, message: str
):
    server.fault = always(FAULTS[fault])
    with pytest.raises(GendistError, match=message) as caught:
        ask(server, train_texts, tmp_path, retries=1)
    shown = str(caught.value)
    assert shown.startswith(f"endpoint {server.url} (model tiny-chat): ") and "\n" not in shown
    assert "after 2 tries); rerun" in shown and KEY not in shown
    assert not (tmp_path / "shard-00000.parquet").exists()


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (
            401,
            {"message": f"Incorrect key: {KEY}"},
            r"\*\*\*.*set the environment variable OPENAI_API_KEY",
        ),
        (403, {"message": "no"}, "the key in the environment variable OPENAI_API_KEY has no access"),
        (404, {"message": "model tiny-chat not found"}, "no such model or address; check 'model', and 'url'"),
        (400, {"message": "context length exceeded"}, "context length exceeded.*lower instruct.examples"),
        (429, {"message": "pay first", "code": "insufficient_quota"}, "quota is used up: .*pay first"),
    ],
)
def test_a_refused_request_is_not_sent_again(
    server: ChatServer, train_texts: Path, tmp_path: Path, status: int, error: dict[str, str], message: str
):
    server.fault = always(lambda handler: handler.reply(status, {"error": error}))
    with pytest.raises(GendistError, match=message) as caught:
        ask(server, train_texts, tmp_path, rows=3, concurrency=1)
    assert len(server.requests) == 1 and KEY not in str(caught.value)


def test_nobody_at_the_address(train_texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(endpoint_client, "FIRST_PAUSE", 0.01)
    with chat_server() as gone:
        pass
    with pytest.raises(GendistError, match=r"cannot be reached \(.*refused.*\) \(row \d, after 4 tries\); rerun when"):
        ask(gone, train_texts, tmp_path)


def test_a_slow_answer_is_not_waited_for(server: ChatServer, train_texts: Path, tmp_path: Path):
    server.fault = slowly(1.0)
    with pytest.raises(GendistError, match=r"no answer within 0\.1 s \(row 0, after 1 try\)"):
        ask(server, train_texts, tmp_path, rows=1, timeout=0.1, retries=0)


def test_retry_after_holds_back_all_requests(server: ChatServer, train_texts: Path, tmp_path: Path):
    times: list[float] = []

    def fault(handler: Handler, body: dict[str, Any]) -> bool:
        times.append(time.monotonic())
        if len(times) == 1:
            handler.reply(429, {}, Retry_After="0.4")
        return len(times) == 1

    server.fault = fault
    ask(server, train_texts, tmp_path, rows=4, concurrency=1)
    assert len(times) == 5 and times[1] - times[0] >= 0.4
    ahead = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
    assert 27 < (retry_after({"retry-after": ahead}) or 0) <= 30
    read = [retry_after({"retry-after": value}) for value in ("7", "-1", "soon", "nan", "inf")]
    assert read == [7, 0, None, None, None]
    assert retry_after({}) is None


def test_answers_survive_a_failure_and_are_not_asked_for_again(server: ChatServer, train_texts: Path, tmp_path: Path):
    def broken_from_row_five(handler: Handler, body: dict[str, Any]) -> bool:
        if len(server.requests) > 4:
            handler.reply(400, {"error": {"message": "no more"}})
        return len(server.requests) > 4

    server.fault = broken_from_row_five
    with pytest.raises(GendistError, match="no more"):
        ask(server, train_texts, tmp_path, concurrency=1)
    (file,) = (tmp_path / "answers").iterdir()
    assert len(file.read_text().splitlines()) == 4 and KEY not in file.read_text()
    file.write_text(file.read_text()[:-30])  # a kill in the middle of the last line
    server.fault = None
    (shard,) = ask(server, train_texts, tmp_path, concurrency=1)
    assert len(server.requests) == 4 + 1 + 3
    content = pq.read_table(shard)
    server.text = lambda body: "now all is different"  # a server that ignores the seed
    shard.unlink()
    ask(server, train_texts, tmp_path)
    assert len(server.requests) == 8 and pq.read_table(shard).equals(content)
    ask(server, train_texts, tmp_path, model="another-model")
    assert len(server.requests) == 8 + 6


def test_a_job_that_is_stopped_keeps_the_answers_under_way(server: ChatServer, train_texts: Path, tmp_path: Path):
    def stop_then_answer(*_: object) -> bool:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.3)
        return False

    server.fault = stop_then_answer
    began = time.monotonic()
    with pytest.raises(stop_signals.Stopped), stop_signals.handle_stop_signals():
        ask(server, train_texts, tmp_path, rows=40, concurrency=2)
    assert time.monotonic() - began < 5
    (file,) = (tmp_path / "answers").iterdir()
    assert len(file.read_text().splitlines()) == len(server.requests) <= 2


def test_a_stop_does_not_wait_for_slow_answers_or_pauses(
    server: ChatServer, train_texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(endpoint_pool, "LAST_ANSWERS_SECONDS", 0.2)

    def hold_back(handler: Handler) -> None:
        handler.reply(429, {}, Retry_After="300")
        os.kill(os.getpid(), signal.SIGTERM)

    server.fault = always(hold_back)
    began = time.monotonic()
    with pytest.raises(stop_signals.Stopped), stop_signals.handle_stop_signals():
        ask(server, train_texts, tmp_path, rows=3, concurrency=1)
    assert time.monotonic() - began < 5


def test_the_key_is_sent_and_is_nowhere_else(
    server: ChatServer, train_texts: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    server.fault = first_times(2, lambda handler: handler.reply(500, {"error": {"message": f"key {KEY} is slow"}}))
    (shard,) = ask(server, train_texts, tmp_path, rows=2, concurrency=1)
    assert server.keys == [f"Bearer {KEY}"] * 4
    assert "next try in" in caplog.text and "key *** is slow" in caplog.text and KEY not in caplog.text
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file
    assert KEY not in json.dumps(read_metadata(shard))


@pytest.mark.parametrize(("value", "sent"), [("", "Bearer none"), (" abc\n", "Bearer abc")])
def test_a_server_without_keys_needs_none(
    server: ChatServer, train_texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, sent: str
):
    monkeypatch.setenv("MY_KEY", value)
    ask(server, train_texts, tmp_path, rows=1, key_variable="MY_KEY")
    assert server.keys == [sent]


def test_without_openai_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(GendistError, match=r"'endpoint' needs an extra: pip install 'gendist\[endpoint\]' \(openai\)"):
        EndpointClient(Endpoint(url="http://127.0.0.1:1/v1", model="m"))


def test_a_key_that_cannot_be_sent_is_not_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MY_KEY", "sk-geheim\nsk-ü")
    with pytest.raises(GendistError, match="environment variable MY_KEY: a key has no spaces") as caught:
        EndpointClient(Endpoint(url="http://127.0.0.1:1/v1", model="m", key_variable="MY_KEY"))
    assert "geheim" not in str(caught.value)


def test_refusals_echoes_and_empty_answers_keep_their_number(server: ChatServer, train_texts: Path, tmp_path: Path):
    answers = iter(
        [
            completion("I'm sorry, but I can't help with that."),
            completion(None, refusal="I cannot do this"),
            completion("", finish="content_filter"),
            completion(None),
            completion("..."),
            completion("cut off here", finish="length"),
        ]
    )

    def fault(handler: Handler, body: dict[str, Any]) -> bool:
        if len(server.requests) == 7:
            handler.reply(200, completion(body["messages"][0]["content"].split("\n")[1]))
        else:
            handler.reply(200, next(answers))
        return True

    server.fault = fault
    (shard,) = ask(server, train_texts, tmp_path, rows=7, concurrency=1)
    finish = ["refusal", "refusal", "refusal", "empty", "empty", "length", "echo"]
    assert pq.read_table(shard)["finish"].to_pylist() == finish
