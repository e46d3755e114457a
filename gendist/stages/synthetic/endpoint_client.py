"""Requests to an OpenAI-compatible server: one at a time, with retries.

The key is read from the environment and sent with requests; it is in no message, log or file.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from gendist.config.prompting_settings import Endpoint
from gendist.errors import GendistError
from gendist.stages.synthetic.chat_answers import Answer

log = logging.getLogger(__name__)

MISSING_EXTRA = "'endpoint' needs an extra: pip install 'gendist[endpoint]'"
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before the first retry and, after doubling, at most before a later one."""
LONGEST_REQUESTED_PAUSE = 600.0
"""Maximum seconds of a Retry-After header."""
TEMPORARY = (408, 409, 425, 429)
"""Status codes below 500 after which a request is retried."""
NO_KEY = "none"
"""API key for servers that need none."""
SHOWN = 150
"""Maximum characters of a response in an error message."""


class Cancelled(Exception):  # noqa: N818 (no error)
    """The job was asked to stop; the request is not retried."""


class _Unavailable(Exception):  # noqa: N818 (caught here)
    """A temporary failure; the request can be retried."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause
        """Seconds to wait, from the Retry-After header, or None."""


class EndpointClient:
    """Sends requests from any number of threads."""

    def __init__(self, settings: Endpoint) -> None:
        """Read the key and create the client.

        Raises:
            GendistError: if the openai package is missing, or the key cannot be sent.
        """
        try:
            import openai
        except ModuleNotFoundError as error:
            raise GendistError(f"{MISSING_EXTRA} ({error.name})") from None
        self.settings, self._openai = settings, openai
        self._key = read_key(settings.key_variable)
        self._client = openai.OpenAI(
            base_url=settings.url, api_key=self._key or NO_KEY, timeout=settings.timeout, max_retries=0
        )
        self._stopping = threading.Event()
        self._resume_at = 0.0
        """Time until which a server has asked to wait."""

    @property
    def name(self) -> str:
        """Name in messages."""
        return f"endpoint {self.settings.url} (model {self.settings.model})"

    def stop(self) -> None:
        """End pauses and further tries."""
        self._stopping.set()

    def ask(self, number: int, body: Mapping[str, Any]) -> Answer:
        """Return the answer to a request, after as many further tries as the settings allow.

        Args:
            number: number of the row.
            body: body of the request.

        Raises:
            GendistError: if the server refuses the request, or no try succeeds.
            Cancelled: if ``stop`` is called before the next try.
        """
        reason = ""
        for attempt in range(self.settings.retries + 1):
            self._wait(self._resume_at - time.monotonic())
            try:
                return self._ask_once(number, body)
            except _Unavailable as failure:
                reason = str(failure)
                if attempt == self.settings.retries:
                    break
                pause = min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE)
                if failure.pause is not None:  # for all requests
                    pause = min(failure.pause, LONGEST_REQUESTED_PAUSE)
                    self._resume_at = max(self._resume_at, time.monotonic() + pause)
                log.info("%s: row %d: %s; next try in %.3g s", self.name, number, reason, pause)
                self._wait(pause)
        tries = "1 try" if self.settings.retries == 0 else f"{self.settings.retries + 1} tries"
        raise GendistError(
            f"{self.name}: {reason} (row {number}, after {tries}); rerun when the server answers, with a lower "
            "concurrency or a longer timeout if it is overloaded: rows answered so far are kept"
        )

    def _wait(self, seconds: float) -> None:
        if self._stopping.wait(max(seconds, 0.0)):
            raise Cancelled

    def _ask_once(self, number: int, body: Mapping[str, Any]) -> Answer:
        openai = self._openai
        model, messages = body["model"], body["messages"]
        others = {key: value for key, value in body.items() if key not in ("model", "messages")}
        try:
            response = self._client.chat.completions.with_raw_response.create(
                model=model, messages=messages, extra_body=others
            )
            content = response.http_response.text
        except openai.APITimeoutError:
            raise _Unavailable(f"no answer within {self.settings.timeout:g} s") from None
        except openai.APIConnectionError as error:
            raise _Unavailable(f"cannot be reached ({self._clean(error.__cause__ or error)})") from None
        except openai.APIStatusError as error:
            raise self._explain_status(error) from None
        except Exception as error:  # of the transport, below the client
            raise _Unavailable(f"request failed ({type(error).__name__}: {self._clean(error)})") from None
        try:
            return read_answer(number, content)
        except ValueError as error:
            raise _Unavailable(
                f"an answer that is not in OpenAI's format ({error}): '{self._clean(content)}'; is the url right "
                "(it mostly ends in /v1)?"
            ) from None

    def _explain_status(self, error: Any) -> Exception:
        status, shown = error.status_code, self._clean(error.message)
        if status == 429 and getattr(error, "code", None) == "insufficient_quota":
            return GendistError(f"{self.name}: the account's quota is used up: {shown}; rows answered so far are kept")
        if status in TEMPORARY or status >= 500:
            return _Unavailable(f"status {status}: {shown}", retry_after(error.response.headers))
        advice = {
            401: f"set the environment variable {self.settings.key_variable} to a valid key",
            403: f"the key in the environment variable {self.settings.key_variable} has no access",
            404: "no such model or address; check 'model', and 'url' (it mostly ends in /v1)",
        }.get(status, "check the sampling, token_limit and body, and lower instruct.examples if the prompt is too long")
        return GendistError(f"{self.name}: status {status}: {shown}; {advice}")

    def _clean(self, message: object) -> str:
        """Return a message without the key, which servers quote in errors, shortened."""
        text = str(message).strip()
        if self._key:
            text = text.replace(self._key, "***")
        return text if len(text) <= SHOWN else f"{text[:SHOWN]} …"


def read_key(variable: str) -> str:
    """Return the key in an environment variable; empty if there is none.

    Raises:
        GendistError: if it cannot be sent in a header; the message does not contain it.
    """
    key = os.environ.get(variable, "").strip()
    if not all("!" <= character <= "~" for character in key):
        raise GendistError(f"environment variable {variable}: a key has no spaces, line breaks or other than ASCII")
    return key


def read_answer(number: int, content: str) -> Answer:
    """Read the answer in a response.

    Raises:
        ValueError: naming what is missing.
    """
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    choices = record.get("choices") if isinstance(record, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    if not isinstance(first, dict) or not isinstance(message, dict):
        raise ValueError("no choices[0].message")
    text, refusal = message.get("content"), message.get("refusal")
    if not isinstance(text, str | None) or not isinstance(refusal, str | None):
        raise ValueError("message.content is not text")
    finish = first.get("finish_reason")
    reason = "length" if finish == "length" else "stop"
    if refusal or finish == "content_filter":
        reason = "refusal"
    usage = record.get("usage")
    counts = [usage.get(f"{kind}_tokens") if isinstance(usage, dict) else None for kind in ("prompt", "completion")]
    known = [count if isinstance(count, int) and 0 <= count < 2**31 else None for count in counts]
    return Answer(number, text or refusal or "", reason, *known)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds in a Retry-After header: a number, or a date; None without a valid one."""
    value = headers.get("retry-after", "").strip()
    try:
        return max(float(value), 0.0) if float(value) < float("inf") else None
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max((until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds(), 0.0)
