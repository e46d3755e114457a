"""A tokenizer.json of BERT's kind in Python, without the ``tokenizers`` library."""

import re
from collections.abc import Mapping
from typing import Any

from gendist.predict.bert_normalizer import bert_normalizer
from gendist.predict.subword_models import MAX_WORD, BytePairEncoding, SubwordModel, WordPiece

ZERO_DIGITS = {"type": "Replace", "pattern": {"Regex": "[0-9]"}, "content": "0"}
"""The normaliser that the embedded tokenizer has beside BERT's."""
DIGITS = str.maketrans("123456789", "000000000")


class WordTokenizer:
    """Encodes words, texts without spaces, as ``tokenizers.Tokenizer`` does without special tokens."""

    def __init__(self, tokenizer: Mapping[str, Any]) -> None:
        """Build the tokenizer from the parsed JSON, for which ``is_supported`` is true."""
        self._normalizer = bert_normalizer()
        self._zero_digits = ZERO_DIGITS in _normalizers(tokenizer)
        self._added: dict[str, int] = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
        longest_first = sorted(self._added, key=len, reverse=True)
        self._split_added = re.compile(f"({'|'.join(map(re.escape, longest_first))})").split if self._added else None
        self._model = _load_model(tokenizer["model"])

    def encode(self, word: str) -> list[int]:
        """Return the piece ids of a word."""
        if self._split_added is None:
            return self._encode_part(word)
        parts = self._split_added(word)
        # Every second part is an added token.
        return [
            piece
            for index, part in enumerate(parts)
            for piece in ([self._added[part]] if index % 2 else self._encode_part(part))
        ]

    def normalise(self, text: str) -> str:
        """Return the normalised text."""
        text = self._normalizer.normalise(text)
        return text.translate(DIGITS) if self._zero_digits else text

    def _encode_part(self, text: str) -> list[int]:
        return [piece for word in self._normalizer.split(self.normalise(text)) for piece in self._model.encode(word)]


def is_supported(tokenizer: Mapping[str, Any]) -> bool:
    """Return whether ``WordTokenizer`` gives the results of the library.

    Args:
        tokenizer: the parsed JSON.
    """
    model = tokenizer.get("model") or {}
    found = _normalizers(tokenizer)
    return (
        found[:1] != []
        and _is_full_bert(found[0])
        and found[1:] in ([], [ZERO_DIGITS])
        and (tokenizer.get("pre_tokenizer") or {}) == {"type": "BertPreTokenizer"}
        and tokenizer.get("truncation") is None
        and tokenizer.get("padding") is None
        and _is_supported_model(model)
        and all(_is_plain(token) for token in tokenizer.get("added_tokens") or [])
    )


def _normalizers(tokenizer: Mapping[str, Any]) -> list[dict[str, Any]]:
    normalizer = tokenizer.get("normalizer") or {}
    return list(normalizer.get("normalizers", [normalizer]))


def _is_full_bert(step: Mapping[str, Any]) -> bool:
    steps = ("clean_text", "handle_chinese_chars", "lowercase")
    return (
        step.get("type") == "BertNormalizer"
        and all(step.get(name) is True for name in steps)
        and step.get("strip_accents") in (None, True)
    )


def _is_supported_model(model: Mapping[str, Any]) -> bool:
    vocabulary = model.get("vocab")
    if not isinstance(vocabulary, dict) or not all(type(piece) is int and piece >= 0 for piece in vocabulary.values()):
        return False
    if model.get("type") == "WordPiece":
        return model.get("unk_token") in vocabulary
    return (
        model.get("type") == "BPE"
        and model.get("unk_token") in (None, *vocabulary)
        and not any(model.get(name) for name in ("dropout", "end_of_word_suffix", "fuse_unk", "byte_fallback"))
        and not model.get("ignore_merges")
    )


def _is_plain(token: Mapping[str, Any]) -> bool:
    """Return whether an added token is found in the text as it is, wherever it stands."""
    flags = ("single_word", "lstrip", "rstrip", "normalized")
    return bool(token["content"]) and " " not in token["content"] and not any(token[flag] for flag in flags)


def _load_model(model: Mapping[str, Any]) -> SubwordModel:
    vocabulary, prefix = model["vocab"], model.get("continuing_subword_prefix") or ""
    if model["type"] == "WordPiece":
        unknown = vocabulary[model["unk_token"]]
        return WordPiece(
            vocabulary, prefix=prefix, unknown=unknown, max_word=model.get("max_input_chars_per_word", MAX_WORD)
        )
    return BytePairEncoding(vocabulary, model["merges"], prefix=prefix, unknown=vocabulary.get(model.get("unk_token")))
