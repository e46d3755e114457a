"""The tokenizer of an export as tables for the page.

JavaScript's Unicode tables differ from those of the tokenizers library by version. So every code point is normalised
and split here, as prediction does, and the page looks the result up.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from gendist.predict.bert_normalizer import bert_normalizer
from gendist.predict.word_tokenizer import WordTokenizer, is_supported
from gendist.stages.export.classifier_page.unsupported_model_error import UnsupportedModelError

UNKNOWN = "\uffff"
"""A noncharacter for every letter that no piece has."""
CHARACTERS = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000))))
"""All Unicode code points without surrogates."""


@dataclass(frozen=True)
class PageTokenizer:
    """The page's tokenizer: ``settings`` for its JSON header, and ``arrays``."""

    settings: dict[str, Any]
    arrays: dict[str, np.ndarray]


@lru_cache(maxsize=1)  # datasets of a study share it
def page_tokenizer(content: str) -> PageTokenizer:
    """Convert a tokenizer.

    Args:
        content: JSON of the ``tokenizers`` library.

    Raises:
        UnsupportedModelError: if the page cannot reproduce the tokenizer exactly.
    """
    parsed = json.loads(content)
    _require_supported(parsed)
    model = parsed["model"]
    prefix = model.get("continuing_subword_prefix") or ""
    pieces: list[str | None] = [None] * (1 + max(model["vocab"].values()))
    for piece, index in model["vocab"].items():
        pieces[index] = piece
    outputs, runs = _character_table(WordTokenizer(parsed), _letters(model["vocab"], prefix))
    settings = {
        "type": model["type"],
        "prefix": prefix,
        "unknown": model["vocab"].get(model.get("unk_token"), -1),
        "maxCharacters": model.get("max_input_chars_per_word", 0),
        "pieces": pieces,
        "added": [[token["content"], token["id"]] for token in parsed.get("added_tokens") or []],
        "strip": "".join(character for character in CHARACTERS[:0xD800] if character.isspace()),
        "outputs": outputs,
    }
    arrays = {"characters": np.array(runs, np.uint32)}
    if model["type"] == "BPE":
        vocab = model["vocab"]
        merges = [merge if isinstance(merge, list) else merge.split(" ") for merge in model["merges"]]
        pairs = np.array([[vocab[left], vocab[right]] for left, right in merges], np.uint32).reshape(-1, 2)
        arrays["merges"] = pairs.astype(np.uint16) if len(pieces) <= 2**16 else pairs
    return PageTokenizer(settings, arrays)


def _require_supported(parsed: dict[str, Any]) -> None:
    if not is_supported(parsed):
        parts = [(parsed.get(part) or {}).get("type") for part in ("normalizer", "pre_tokenizer", "model")]
        found = ", ".join(str(part) for part in parts)
        raise UnsupportedModelError(
            f"tokenizer ({found}): a page supports BPE and WordPiece with BERT's normalizer and pre-tokenizer"
        )


def _letters(vocab: dict[str, int], prefix: str) -> set[str]:
    """Return the characters of all pieces."""
    letters = {character for piece in vocab for character in piece.removeprefix(prefix)}
    if UNKNOWN in letters:
        raise UnsupportedModelError("tokenizer: a page does not support pieces with the noncharacter U+FFFF")
    return letters


def _character_table(tokenizer: WordTokenizer, letters: set[str]) -> tuple[list[str | None], list[list[int]]]:
    """Return what becomes of each code point, where it is not kept as it is.

    Returns:
        The distinct outputs, None for the character itself between spaces; and runs of code points with equal output,
        (runs, 3): first code point, count and index of the output. Spaces in outputs separate words.
    """
    changed = {c: text for c in CHARACTERS if (text := tokenizer.normalise(c)) != c}
    normalizer = bert_normalizer()
    splits = dict.fromkeys(normalizer.spaces, " ") | dict.fromkeys(normalizer.punctuation, " {} ")
    outputs: dict[str | None, int] = {}
    runs: list[list[int]] = []

    def known(character: str) -> str:
        return character if character in letters else UNKNOWN

    for character in sorted({*changed, *(character for character in splits if character not in changed)}):
        text, itself = changed.get(character, character), known(character)
        output: str | None = "".join(splits[c].format(known(c)) if c in splits else known(c) for c in text)
        if output == itself:
            continue
        index = outputs.setdefault(None if output == f" {itself} " else output, len(outputs))
        if runs and ord(character) == sum(runs[-1][:2]) and index == runs[-1][2]:
            runs[-1][1] += 1
        else:
            runs.append([ord(character), 1, index])
    return list(outputs), runs
