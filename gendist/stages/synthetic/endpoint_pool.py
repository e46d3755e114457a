"""Answers of a server for many rows, a bounded number of requests at a time."""

import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gendist.jobs import stop_signals
from gendist.stages.synthetic.chat_answers import Answer
from gendist.stages.synthetic.endpoint_client import Cancelled, EndpointClient

POLL_SECONDS = 0.1
"""Seconds between checks for a request to stop."""
LAST_ANSWERS_SECONDS = 8.0
"""After a failure or a request to stop: longest wait for the requests under way, whose answers are paid for."""


@dataclass(frozen=True)
class Request:
    """The request for one row."""

    number: int
    body: Mapping[str, Any]
    key: str
    """Hash of server and body."""


def ask_all(client: EndpointClient, requests: Sequence[Request]) -> Iterator[tuple[Request, Answer]]:
    """Yield the answers as they come.

    After a failure or a request to stop, no further request starts, and those under way still yield their answers.

    Raises:
        GendistError: the first failure.
        Stopped: if the job was asked to stop.
    """
    waiting: queue.SimpleQueue[Request] = queue.SimpleQueue()
    finished: queue.SimpleQueue[tuple[Request, Answer | BaseException]] = queue.SimpleQueue()
    for request in requests:
        waiting.put(request)
    stopping = threading.Event()

    def work() -> None:
        while not stopping.is_set():
            try:
                request = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                finished.put((request, client.ask(request.number, request.body)))
            except Cancelled:
                return
            except BaseException as error:
                stopping.set()
                finished.put((request, error))
                return

    # Daemons, not an executor: a stopped job must not wait for answers that may take minutes.
    count = min(client.settings.concurrency, len(requests))
    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    failure: BaseException | None = None
    deadline = float("inf")
    try:
        while (any(thread.is_alive() for thread in threads) or not finished.empty()) and time.monotonic() < deadline:
            if stop_signals.stop_requested():
                stopping.set()
            if stopping.is_set() and deadline == float("inf"):
                client.stop()
                deadline = time.monotonic() + LAST_ANSWERS_SECONDS
            try:
                request, result = finished.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if isinstance(result, Answer):
                yield request, result
            else:
                failure = failure or result
    finally:
        stopping.set()
        client.stop()
    if failure is not None:
        raise failure
    stop_signals.raise_if_stopped()
