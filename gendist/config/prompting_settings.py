"""Settings of generators that are large language models: adapters, prompted chat models, and servers."""

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from gendist.config.base_settings import Settings

DEFAULT_PROMPT = """\
{examples}

Write one more text of the category "{label}", of the same kind, style and length, with other content. \
Do not repeat an example. Answer with the text alone."""
"""Prompt of ``Instruct``; its texts are in any language."""
VARIABLE = re.compile("[A-Z][A-Z0-9_]*")
SECRET = re.compile("key|secret|password|authorization|credential", re.IGNORECASE)
RESERVED_BODY = ("model", "messages", "stream", "n", "seed", "temperature", "top_p", "max_tokens")
"""Keys of a request's body that gendist sets."""


class Lora(Settings):
    """Low-rank adapters (Hu et al. 2022), trained with peft while the model's own weights are frozen."""

    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    """Rank of the adapters."""
    alpha: Annotated[float, Field(gt=0)] | None = None
    """The scale is alpha / rank; null is twice the rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout of the adapters' inputs."""
    targets: Annotated[list[str], Field(min_length=1)] | None = None
    """Names of linear layers, such as `[q_proj, v_proj]`; null takes peft's choice for the architecture, or all where
    it has none."""

    @property
    def scale_numerator(self) -> float:
        """Alpha, or its default."""
        return 2.0 * self.rank if self.alpha is None else self.alpha


class Instruct(Settings):
    """Prompt of a chat model."""

    examples: Annotated[int, Field(ge=0, le=100)] = 4
    """Real texts of the requested class in each prompt, drawn for each row."""
    prompt: str = DEFAULT_PROMPT
    """The prompt; `{label}` is the class name, `{examples}` the examples."""

    @model_validator(mode="after")
    def _check_placeholders(self) -> "Instruct":
        if "{label}" not in self.prompt:
            raise ValueError("'prompt' has no {label}, which is replaced by the class name")
        if self.examples and "{examples}" not in self.prompt:
            raise ValueError(
                "'prompt' has no {examples}, which is replaced by the examples; add it, or set examples: 0"
            )
        return self


class Prices(Settings):
    """Prices of a server."""

    input: Annotated[float, Field(ge=0)]
    """Price of a million tokens of prompts."""
    output: Annotated[float, Field(ge=0)]
    """Price of a million tokens of answers."""
    currency: Annotated[str, Field(max_length=8)] = "USD"
    """Currency, shown in the report."""


class Endpoint(Settings):
    """An OpenAI-compatible server: vLLM, llama.cpp, Ollama, or a hosted one."""

    url: str
    """Base address of the server, such as `http://127.0.0.1:8000/v1`."""
    model: Annotated[str, Field(min_length=1, max_length=500)]
    """Name of the model on the server."""
    key_variable: str = "OPENAI_API_KEY"
    """Name of the environment variable with the key; not all servers need one."""
    token_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"  # noqa: S105 (no password)
    """Name of `max_tokens` in requests; some hosted models accept the second alone."""
    body: dict[str, Any] = {}
    """Further keys of requests, such as `{reasoning_effort: low}`."""
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 8
    """Maximum number of parallel requests. Changing it, or a key below, reruns nothing."""
    timeout: Annotated[float, Field(gt=0, le=86400)] = 120.0
    """Seconds to wait for an answer."""
    retries: Annotated[int, Field(ge=0, le=100)] = 6
    """Retries of a request, after growing pauses."""
    prices: Prices | None = None
    """Prices, for the report's costs."""

    @model_validator(mode="after")
    def _check_variable(self) -> "Endpoint":
        # Not a validator of the field, whose error would show the value: it may be a key pasted by mistake.
        if not VARIABLE.fullmatch(self.key_variable):
            raise ValueError(
                "'key_variable' is not the name of an environment variable (upper case letters, digits and '_'); the "
                "key itself belongs in the environment, never in a config"
            )
        parts = urlsplit(self.url)
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise ValueError(
                "'url' contains a user, a password or a query; the key belongs in the environment (key_variable), "
                "never in a config"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("'url' is not an address such as http://127.0.0.1:8000/v1 or https://api.example.com/v1")
        return self

    @field_validator("url")
    @classmethod
    def _without_last_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @field_validator("body")
    @classmethod
    def _check_body(cls, value: dict[str, Any]) -> dict[str, Any]:
        if any(SECRET.search(key) for key in value):
            raise ValueError("keys and passwords belong in the environment (key_variable), never in a config")
        taken = [key for key in value if key in RESERVED_BODY]
        if taken:
            raise ValueError(f"'{taken[0]}' is set by gendist, from the sampling and the other keys of the endpoint")
        return value

    @property
    def requested(self) -> dict[str, Any]:
        """Keys that influence the answers."""
        return self.model_dump(mode="json", include={"url", "model", "token_limit", "body"})
