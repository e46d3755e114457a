"""A tokenizer that caches the ids of each word.

Normalising and splitting takes most of the time of the tokenizers library. If the ids of a word do not depend on its
neighbours, a cache of words returns the same ids in a tenth of the time.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from tokenizers import Tokenizer

MAX_CACHED_WORDS = 200_000
"""Cached words; a full cache is cleared."""


class CachedTokenizer:
    """Encodes texts as ``tokenizers.Tokenizer`` does, without special tokens."""

    def __init__(self, tokenizer: str) -> None:
        """Load a tokenizer.

        Args:
            tokenizer: JSON of the ``tokenizers`` library.
        """
        self._tokenizer = Tokenizer.from_str(tokenizer)
        parsed = json.loads(tokenizer)
        self._use_cache = is_word_local(parsed)
        self._unknown_id = self._find_unknown_id(parsed.get("model") or {})
        """Id of the unknown token; None if the tokenizer has none."""
        self._cache: dict[str, bytes] = {}
        """Ids of each word, as the bytes of an int32 array."""

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return the token ids of each text, (pieces,) int32."""
        if not self._use_cache:
            return self._encode_uncached(texts)
        return [np.frombuffer(self._encode_words(text.split(" ")), np.int32) for text in texts]

    def has_known_piece(self, ids: np.ndarray) -> bool:
        """Return whether a text (pieces,) has a known piece; emoji and other scripts may have none."""
        # Fast path: most texts begin with a known piece.
        return len(ids) > 0 and bool(ids[0] != self._unknown_id or (ids != self._unknown_id).any())

    def _find_unknown_id(self, model: dict[str, Any]) -> int | None:
        if isinstance(model.get("unk_id"), int):  # Unigram
            return int(model["unk_id"])
        name = model.get("unk_token")  # BPE, WordPiece and WordLevel
        return self._tokenizer.token_to_id(name) if isinstance(name, str) else None

    def _encode_words(self, words: list[str]) -> bytes:
        try:
            return b"".join(map(self._cache.__getitem__, words))
        except KeyError:
            if len(self._cache) >= MAX_CACHED_WORDS:
                self._cache = {}
            cache = self._cache  # another thread may replace the cache meanwhile
            missing = [word for word in dict.fromkeys(words) if word not in cache]
            found = dict(zip(missing, map(np.ndarray.tobytes, self._encode_uncached(missing)), strict=True))
            cache |= found
            return b"".join(cache[word] for word in words)

    def _encode_uncached(self, texts: Sequence[str]) -> list[np.ndarray]:
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, np.int32) for encoding in encodings]


def is_word_local(tokenizer: dict[str, Any]) -> bool:
    """Return whether the ids of a text are the concatenated ids of its space-separated words.

    True if the normaliser works character by character, the pre-tokenizer splits at spaces, and the model encodes
    each word on its own, as the embedded subword tokenizer does.

    Args:
        tokenizer: the parsed JSON.
    """
    normalizer, model = tokenizer.get("normalizer") or {}, tokenizer.get("model") or {}
    normalizers = normalizer.get("normalizers", [normalizer])
    return (
        all(map(_is_character_local, normalizers))
        and (tokenizer.get("pre_tokenizer") or {}).get("type") == "BertPreTokenizer"
        and model.get("type") in ("BPE", "WordPiece")
        and not model.get("dropout")
        and tokenizer.get("truncation") is None
        and tokenizer.get("padding") is None
        and not any(" " in token["content"] or token["lstrip"] or token["rstrip"] for token in _added_tokens(tokenizer))
    )


def _is_character_local(step: dict[str, Any]) -> bool:
    """Return whether a normaliser works character by character."""
    if step.get("type") in ("BertNormalizer", "Lowercase", "NFD", "NFKD", "StripAccents"):
        return True
    return step.get("type") == "Replace" and step.get("pattern") == {"Regex": "[0-9]"} and step.get("content") == "0"


def _added_tokens(tokenizer: dict[str, Any]) -> list[dict[str, Any]]:
    return list(tokenizer.get("added_tokens") or [])
