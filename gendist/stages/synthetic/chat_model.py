"""Answers of a chat model on this machine: its template, its weights, and the sampler of all pools."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch

from gendist.config.generator_settings import Generator
from gendist.config.sampling_settings import Sampling
from gendist.errors import GendistError, first_line
from gendist.nn.bf16_weights import load_for_sampling, weight_dtype
from gendist.nn.pretrained import load_causal_lm, load_config, load_tokenizer
from gendist.stages.generator.finetune_generator import boundary_tokens
from gendist.stages.synthetic.backend_selection import resolve_precision
from gendist.stages.synthetic.batch_slots import GeneratedRow
from gendist.stages.synthetic.chat_answers import Answer
from gendist.stages.synthetic.chat_prompts import ChatPrompt, ChatPrompts
from gendist.stages.synthetic.sampler import Sampler


class ChatModel:
    """An instruct model in a folder or on the hub, not finetuned."""

    def __init__(self, settings: Generator, sampling: Sampling, device: torch.device) -> None:
        """Load the tokenizer and the configuration; weights are loaded when the first row is sampled.

        Raises:
            GendistError: if the model cannot be loaded, or has no chat template.
        """
        self.settings, self.sampling, self.device = settings, sampling, device
        self.tokenizer = load_tokenizer(settings.model, settings.revision)
        if not getattr(self.tokenizer, "chat_template", None):
            raise GendistError(
                f"model {settings.model}: has no chat template; take an instruct model, or finetune this one: "
                "remove 'instruct'"
            )
        self.config = load_config(settings.model, settings.revision)
        self.dtype = weight_dtype(settings.dtype, self.config, device)
        self.precision = resolve_precision(sampling, self.config, device)
        self.end = self.tokenizer.eos_token_id  # of a turn; the config's may end a document
        if self.end is None:
            self.end = boundary_tokens(self.config, self.tokenizer, settings.model)[1]
        self._sampler: Sampler | None = None

    def prompt(self, prompts: ChatPrompts, number: int) -> tuple[ChatPrompt, list[int]]:
        """Return the prompt of a row and its tokens, with as many of its examples as the context has room for.

        Raises:
            GendistError: if the context has no room for the prompt and a text.
        """
        context = getattr(self.config, "max_position_embeddings", None)
        prompt = prompts.prompt(number)
        tokens = self._tokens(prompt.text)
        while context is not None and len(tokens) + self.sampling.max_tokens > context:
            if not prompt.examples:
                raise GendistError(
                    f"model {self.settings.model}: {len(tokens)} tokens of the prompt and {self.sampling.max_tokens} "
                    f"of the text exceed its context of {context}; shorten instruct.prompt, or lower max_tokens of "
                    "the sampling"
                )
            prompt = prompts.prompt(number, len(prompt.examples) - 1)
            tokens = self._tokens(prompt.text)
        return prompt, tokens

    def sample(self, numbers: Sequence[int], tokens: Sequence[list[int]]) -> Iterator[GeneratedRow]:
        """Yield the rows with these numbers and prompts, in the order in which they finish."""
        if self._sampler is None:
            load: Callable[[torch.dtype], Any] = partial(load_causal_lm, self.settings.model, self.settings.revision)
            self._sampler = Sampler(
                load_for_sampling(load, self.dtype, self.device),
                self.sampling,
                start=None,
                end=self.end,
                forbidden=self.tokenizer.all_special_ids,
                precision=self.precision,
            )
        yield from self._sampler.sample(numbers, list(tokens))

    def answer(self, row: GeneratedRow, prompt_tokens: int) -> Answer:
        """Return a generated row as an answer."""
        # An incomplete UTF-8 character decodes to U+FFFD.
        text = self.tokenizer.decode(row.tokens, skip_special_tokens=True).replace("\ufffd", "")
        return Answer(row.number, text, "stop" if row.stopped else "length", prompt_tokens, len(row.tokens))

    def _tokens(self, text: str) -> list[int]:
        try:
            chat = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": text}],
                tokenize=False,
                add_generation_prompt=True,
                enable_thinking=False,  # read by the templates of models that can think aloud
            )
        except Exception as error:  # of the template's own code
            raise GendistError(f"model {self.settings.model}: its chat template fails ({first_line(error)})") from None
        ids: list[int] = self.tokenizer(chat, add_special_tokens=False)["input_ids"]
        return ids
