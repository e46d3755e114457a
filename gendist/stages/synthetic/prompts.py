"""What a row of a pool starts from: its label's name, the first words of a real row, both or nothing."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gendist.config.sampling_settings import Sampling
from gendist.errors import GendistError
from gendist.stages.generator.folder import Record, label_prompt
from gendist.stages.synthetic.noise import picks
from gendist.stages.texts.tables import read_texts


@dataclass(frozen=True)
class Prompt:
    """Tokens that a row continues; they follow the start token."""

    label: list[int]
    """The label's name, which is no part of the row's text."""
    words: list[int]
    """The first words of a real row, which are part of it."""

    @property
    def tokens(self) -> list[int]:
        """All of them, in order."""
        return self.label + self.words


class Prompter:
    """Makes the prompts of a pool; that of row i depends on (pool seed, i) alone."""

    def __init__(self, tokenizer: Any, record: Record, settings: Sampling, train: Path | None) -> None:
        """Read ``texts/train.parquet`` if rows start from its words.

        Raises:
            GendistError: if it is needed and not given, or has other labels than the generator.
        """
        self.tokenizer, self.record, self.settings = tokenizer, record, settings
        self.labels = [self._tokens(label_prompt(name)) for name in record.label_names] or [[]]
        self.texts: list[str] = []
        self.rows_of: list[np.ndarray] = []
        """Real rows that a row may start from, by its label (one entry if there are none)."""
        if settings.prompt_words:
            self._read(train)

    def _read(self, train: Path | None) -> None:
        if train is None:
            raise GendistError(f"prompt_words is {self.settings.prompt_words}, but no training texts were given")
        real, names = read_texts(train), self.record.label_names
        self.texts = real.texts
        if not names:
            self.rows_of = [np.arange(len(real.texts))]
            return
        if tuple(real.label_names) != names:
            shown = ", ".join(real.label_names)
            raise GendistError(f"{train}: labels are {shown}; the generator was finetuned on {', '.join(names)}")
        self.rows_of = [np.flatnonzero(real.labels == label) for label in range(len(names))]
        for name, rows in zip(names, self.rows_of, strict=True):
            if not len(rows):
                raise GendistError(f"{train}: no row has label '{name}', so no text of it can start from one")

    def prompts(self, numbers: Iterable[int], context: int | None) -> dict[int, Prompt]:
        """Return the prompt of each row by its number.

        Args:
            numbers: row numbers in the pool.
            context: tokens that the model can read; words are cut so that at least one more token fits.
        """
        rows = np.array(list(numbers), dtype=np.int64)
        labels = [self.record.label_of(int(row)) for row in rows]
        words: list[list[int]] = [[] for _ in rows]
        if self.rows_of:
            counts = np.array([len(self.rows_of[label]) for label in labels])
            drawn = picks(self.settings.seed, rows, counts)
            for i, label in enumerate(labels):
                text = self.texts[self.rows_of[label][drawn[i]]]
                room = None if context is None else context - 2 - len(self.labels[label])
                words[i] = self._tokens(first_words(text, self.settings.prompt_words))[:room]
        return {int(row): Prompt(self.labels[labels[i]], words[i]) for i, row in enumerate(rows)}

    def _tokens(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def first_words(text: str, count: int) -> str:
    """Return a text up to the end of its ``count``-th word; a shorter one whole."""
    found = re.match(rf"(?:\s*\S+){{0,{count}}}", text)
    return found[0].strip() if found else ""
