"""BERT's normaliser and pre-tokenizer, with the results of the ``tokenizers`` library and without it.

Normalisation works character by character: control characters and accents are removed, letters are decomposed and
lowercased, Chinese characters become words. Only the order of combining marks depends on their neighbours.
"""

import json
from bisect import bisect_right
from functools import cache
from pathlib import Path
from typing import Any

CHARACTERS = Path(__file__).with_name("bert_characters.json")
"""Written by ``tools/bert_characters.py`` from the library's own results."""
HANGUL = range(0xAC00, 0xD7A4)
"""Syllables, which decompose by rule into three jamo (Unicode, section 3.12)."""
BOUNDARY = "\ud800"
"""In place of a removed starter, which no mark crosses; never part of a text."""


class _Mapping(dict[int, str]):
    """What each character becomes; characters of long ranges are added when they first occur."""

    def __init__(self, tables: dict[str, Any]) -> None:
        super().__init__((ord(c), new) for c, new in tables["mapped"].items())
        ranges = [(first, last, "") for first, last in tables["removed"]]
        ranges += [(first, last, " ") for first, last in tables["wide"]]
        self._ranges = sorted(ranges)
        self._firsts = [first for first, _, _ in self._ranges]
        self._spaced: dict[str, str] = tables["spaced"]
        # Last: they are among the removed characters too.
        self.update((code, BOUNDARY) for first, last in tables["starters"] for code in range(first, last + 1))

    def __missing__(self, code: int) -> str:
        self[code] = found = self._find(code)
        return found

    def _find(self, code: int) -> str:
        if code in HANGUL:
            leading, rest = divmod(code - HANGUL.start, 588)
            vowel, trailing = divmod(rest, 28)
            jamo = chr(0x1100 + leading) + chr(0x1161 + vowel)
            return jamo + chr(0x11A7 + trailing) if trailing else jamo
        place = bisect_right(self._firsts, code) - 1
        if place < 0 or code > self._ranges[place][1]:
            return chr(code)
        character = self._spaced.get(chr(code), chr(code))
        return f" {character} " if self._ranges[place][2] else ""


class BertNormalizer:
    """``BertNormalizer`` (all steps) and ``BertPreTokenizer``."""

    def __init__(self) -> None:
        """Read the tables; use ``bert_normalizer``, which does so once."""
        tables = json.loads(CHARACTERS.read_text(encoding="utf-8"))
        self._mapped = _Mapping(tables)
        self._classes: dict[str, int] = tables["classes"]
        self.spaces = frozenset(tables["spaces"])
        """Characters at which words end."""
        self.punctuation = frozenset(
            chr(code) for first, last in tables["punctuation"] for code in range(first, last + 1)
        )
        """Characters that are words of their own."""

    def normalise(self, text: str) -> str:
        """Return the normalised text."""
        if text.isascii() and text.isalnum():  # most words
            return text.lower()
        text = text.translate(self._mapped)
        if not self._classes.keys().isdisjoint(text):
            text = self._order_marks(text)
        return text.replace(BOUNDARY, "")

    def split(self, text: str) -> list[str]:
        """Split a normalised text at white space, and around every punctuation mark."""
        if text.isascii() and text.isalnum():
            return [text]
        words, start = [], 0
        for position, character in enumerate(text):
            is_space = character in self.spaces
            if is_space or character in self.punctuation:
                words += [text[start:position], "" if is_space else character]
                start = position + 1
        return [word for word in (*words, text[start:]) if word]

    def _order_marks(self, text: str) -> str:
        """Sort each run of combining marks by class, as canonical decomposition does."""
        ordered: list[str] = []
        marks: list[str] = []
        for character in text:
            if character in self._classes:
                marks.append(character)
            else:
                ordered += [*sorted(marks, key=self._classes.__getitem__), character]
                marks = []
        return "".join([*ordered, *sorted(marks, key=self._classes.__getitem__)])


bert_normalizer = cache(BertNormalizer)
