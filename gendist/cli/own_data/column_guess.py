"""Guess the text and label columns of a table from names and contents."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from gendist.errors import GendistError

LABEL_WORDS = re.compile("labels?|category|categories|class|topic|target|sentiment|intent|tag|genre|gold|y")
OTHER_LABEL_WORDS = (
    *("queue", "department", "dept", "team", "type", "status", "group", "kind", "priority", "severity", "emotion"),
    *("polarity", "rating", "stars", "outcome", "decision", "reason", "section", "subject", "theme", "area", "product"),
)
"""Weaker label names, used if no column matches ``LABEL_WORDS``."""
SPELLCHECKED_LABEL_WORDS = ("label", "category", "class", "topic", "target", "sentiment", "intent", *OTHER_LABEL_WORDS)
"""Label names checked for misspellings."""
TEXT_WORDS = re.compile(
    "texts?|body|content|review|message|description|comment|sentence|document|abstract|tweet|utterance|question"
)
MAX_CLASSES = 200
DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}")
RIVAL_LENGTH_SHARE = 0.7
"""Text columns with at least this share of the longest column's mean length are rivals."""


@dataclass(frozen=True)
class Column:
    """A column with the statistics that separate texts from labels."""

    name: str
    values: Sequence[Any]

    @cached_property
    def cells(self) -> list[str]:
        """Non-empty cells as text."""
        return [text for v in self.values if v is not None and v == v and (text := str(v).strip())]

    @cached_property
    def distinct(self) -> int:
        """Number of distinct cells."""
        return len(set(self.cells))

    @cached_property
    def length(self) -> float:
        """Mean number of characters."""
        return sum(map(len, self.cells)) / max(1, len(self.cells))

    @property
    def numeric(self) -> bool:
        """Whether every cell is a number."""
        return all(re.fullmatch(r"-?[0-9]+([.,][0-9]+)?", cell) for cell in self.cells)

    @property
    def words(self) -> list[str]:
        """Words of the column name: ``ticketType`` and ``ticket_type`` have two."""
        return re.split("[^a-z]+", re.sub("(?<=[a-z])(?=[A-Z])", " ", self.name).lower())

    def name_matches(self, words: re.Pattern[str]) -> bool:
        """Return whether a word of the column name matches."""
        return any(map(words.fullmatch, self.words))

    @property
    def looks_like_text(self) -> bool:
        """Many distinct cells of several words. Excludes numbers, dates, codes and URLs."""
        if not self.cells or self.numeric or self.distinct < 2 or self.distinct < len(self.cells) * 0.3:
            return False
        prose = sum(not cell.isascii() or len(cell.split()) > 1 for cell in self.cells)
        letters = sum(c.isalpha() for cell in self.cells for c in cell)
        return prose >= len(self.cells) / 2 and letters >= sum(map(len, self.cells)) / 2

    @property
    def looks_like_label(self) -> bool:
        """Few distinct cells that repeat. Excludes constants, fractions and dates."""
        if not 2 <= self.distinct <= min(MAX_CLASSES, len(self.cells) / 2) or self.length > 60:
            return False
        if all(DATE.match(cell) for cell in self.cells):
            return False
        return not any(isinstance(v, float) and v == v and not v.is_integer() for v in self.values)


@dataclass(frozen=True)
class Guess:
    """Candidate columns, best first, and whether the best is unambiguous."""

    columns: list[Column]
    is_clear: bool


def guess_text(columns: Sequence[Column]) -> Guess:
    """Guess the text column: the longest, most distinct texts."""
    candidates = sorted((c for c in columns if c.looks_like_text), key=lambda c: -c.length * c.distinct)
    if not candidates:
        return Guess([], False)
    rivals = [c for c in candidates if c.length >= RIVAL_LENGTH_SHARE * candidates[0].length]
    named = [c for c in rivals if c.name_matches(TEXT_WORDS)]
    if len(rivals) > 1 and len(named) == 1:
        candidates = [*named, *(c for c in candidates if c is not named[0])]
    return Guess(candidates, len(rivals) == 1 or len(named) == 1)


def guess_label(columns: Sequence[Column]) -> Guess:
    """Guess the label column: few distinct values that repeat; the column name breaks ties."""
    candidates = [c for c in columns if c.looks_like_label]
    named = [c for c in candidates if c.name_matches(LABEL_WORDS)] or [
        c for c in candidates if {*c.words} & {*OTHER_LABEL_WORDS}
    ]
    best = named or candidates
    if len(best) > 1 and all(_same_classes(best[0], other) for other in best[1:]):
        best = [next((c for c in best if not c.numeric), best[0])]  # numeric ids and their names
    ordered = [*best, *(c for c in candidates if all(c is not other for other in best))]
    return Guess(ordered, len(best) == 1)


def _same_classes(one: Column, other: Column) -> bool:
    pairs = set(zip(map(str, one.values), map(str, other.values), strict=True))
    return len(pairs) == one.distinct == other.distinct


def make_columns(values: dict[str, list[Any]]) -> list[Column]:
    """Return the columns of a table."""
    return [Column(name, cells) for name, cells in values.items()]


def _is_misspelt_label(column: Column) -> bool:
    """Return whether the column name is close to a label name."""
    return any(get_close_matches(word, SPELLCHECKED_LABEL_WORDS, 1, 0.75) for word in column.words if len(word) > 3)


def ambiguous_column(path: str, role: str, guess: Guess, columns: Sequence[Column]) -> GendistError:
    """Return the error for a role without a unique candidate."""
    if guess.columns:
        fitting = ", ".join(f"'{c.name}'" for c in guess.columns)
        near = [c.name for c in guess.columns if role == "label" and _is_misspelt_label(c)]
        hint = f" (is it '{near[0]}'?)" if near else ""
        return GendistError(
            f"{path}: several columns may be the {role} ({fitting}); name it with --{role} COLUMN{hint}"
        )
    has = ", ".join(f"'{c.name}'" for c in columns)
    wanted = "texts of several words" if role == "text" else "a few values that repeat"
    return GendistError(f"{path}: no column looks like the {role} ({wanted}); name it with --{role} COLUMN (has {has})")
