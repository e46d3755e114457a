"""Prompts of a chat model: the class name and real examples; the prompt of row i depends on (pool seed, i) alone."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gendist.config.prompting_settings import Instruct
from gendist.stages.synthetic.philox import random_indices
from gendist.stages.texts.text_tables import read_texts, rows_by_label

SEED_DRAW = 2**16
"""Number of the draw that is a row's seed, after those of its examples."""
SEED_LIMIT = 2**31 - 1
"""Servers accept signed 32-bit seeds."""


@dataclass(frozen=True)
class ChatPrompt:
    """The prompt of one row."""

    number: int
    """Number of the row in the pool."""
    label: int
    """Requested class, an index into the label names."""
    examples: tuple[str, ...]
    """Real texts that it shows."""
    text: str


class ChatPrompts:
    """Builds the prompts of a pool."""

    def __init__(self, train: Path, settings: Instruct, seed: int) -> None:
        """Read the real texts.

        Args:
            train: ``texts/train.parquet``.
            settings: number of examples, and the prompt.
            seed: seed of the pool.

        Raises:
            GendistError: if the file is missing or damaged, or a class has no text.
        """
        real = read_texts(train)
        self.settings, self.seed, self.label_names, self._texts = settings, seed, real.label_names, real.texts
        self._rows_by_label = rows_by_label(real, train)

    def prompt(self, number: int, most: int | None = None) -> ChatPrompt:
        """Return the prompt of a row, with at most so many of its examples."""
        label = number % len(self.label_names)
        examples = tuple(self._texts[index] for index in self._drawn(number, label)[:most])
        shown = "\n\n".join(f"Example {i}:\n{text}" for i, text in enumerate(examples, 1))
        values = {"{label}": self.label_names[label], "{examples}": shown}
        # In one pass: a label or a text may itself contain a placeholder.
        text = re.sub(r"\{label\}|\{examples\}", lambda match: values[match[0]], self.settings.prompt)
        return ChatPrompt(number, label, examples, text.strip())

    def row_seed(self, number: int) -> int:
        """Return the seed that a server gets for a row, 0 to ``SEED_LIMIT - 1``."""
        return int(random_indices(self.seed, np.array([number]), np.array([SEED_LIMIT]), SEED_DRAW)[0])

    def _drawn(self, number: int, label: int) -> list[int]:
        """Draw examples of a class without replacement; all of a class with too few."""
        left = self._rows_by_label[label].tolist()
        drawn = []
        for draw in range(min(self.settings.examples, len(left))):
            index = random_indices(self.seed, np.array([number]), np.array([len(left)]), draw)[0]
            drawn.append(left.pop(int(index)))
        return drawn
