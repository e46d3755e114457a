"""Prompts of a pool's rows: the label's name, the first words of a real row, both or nothing."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gendist.config.sampling_settings import Sampling
from gendist.errors import GendistError
from gendist.stages.generator.generator_folder import GeneratorRecord, label_prompt
from gendist.stages.synthetic.philox import random_indices
from gendist.stages.texts.text_tables import read_texts, rows_by_label


@dataclass(frozen=True)
class Prompt:
    """Tokens after the start token that a row continues."""

    label: list[int]
    """The label's name, not part of the row's text."""
    words: list[int]
    """The first words of a real row, part of the text."""

    @property
    def tokens(self) -> list[int]:
        """The prompt's tokens."""
        return self.label + self.words


class PromptBuilder:
    """Builds the prompts of a pool; the prompt of row i depends on (pool seed, i) alone."""

    def __init__(self, tokenizer: Any, record: GeneratorRecord, settings: Sampling, train: Path | None) -> None:
        """Read ``texts/train.parquet`` if ``settings.prompt_words`` is not 0.

        Raises:
            GendistError: if the file is required and None, or its labels differ from the generator's.
        """
        self.tokenizer, self.record, self.settings = tokenizer, record, settings
        self.label_tokens = [self._tokens(label_prompt(name)) for name in record.label_names] or [[]]
        self.texts: list[str] = []
        self.rows_by_label: list[np.ndarray] = []
        """Candidate real rows for each label; one entry if the generator has no labels."""
        if settings.prompt_words:
            self._read(train)

    def _read(self, train: Path | None) -> None:
        if train is None:
            raise GendistError(f"prompt_words is {self.settings.prompt_words}, but no training texts were given")
        real, names = read_texts(train), self.record.label_names
        self.texts = real.texts
        if not names:
            self.rows_by_label = [np.arange(len(real.texts))]
            return
        if tuple(real.label_names) != names:
            shown = ", ".join(real.label_names)
            raise GendistError(f"{train}: labels are {shown}; the generator was finetuned on {', '.join(names)}")
        self.rows_by_label = rows_by_label(real, train)

    def prompts(self, numbers: Iterable[int], context: int | None) -> dict[int, Prompt]:
        """Return the prompt of each row by its number.

        Args:
            numbers: row numbers in the pool.
            context: maximum number of tokens of the model; words are cut so that at least one more token fits.
        """
        rows = np.array(list(numbers), dtype=np.int64)
        labels = [self.record.label_of(int(row)) for row in rows]
        words: list[list[int]] = [[] for _ in rows]
        if self.rows_by_label:
            counts = np.array([len(self.rows_by_label[label]) for label in labels])
            drawn = random_indices(self.settings.seed, rows, counts)
            for i, label in enumerate(labels):
                text = self.texts[self.rows_by_label[label][drawn[i]]]
                limit = None if context is None else context - 2 - len(self.label_tokens[label])
                words[i] = self._tokens(first_words(text, self.settings.prompt_words))[:limit]
        return {int(row): Prompt(self.label_tokens[labels[i]], words[i]) for i, row in enumerate(rows)}

    def _tokens(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def first_words(text: str, count: int) -> str:
    """Return the first ``count`` words of a text, or all of a shorter one."""
    found = re.match(rf"(?:\s*\S+){{0,{count}}}", text)
    return found[0].strip() if found else ""
