"""Token ids of texts, with a cache of words.

Tokenizers of BERT's kind, such as the embedded one, encode each word on its own. They are computed in Python, and the
cache of words makes them ten times as fast as the ``tokenizers`` library, which all others need.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from gendist.errors import GendistError
from gendist.predict.word_tokenizer import WordTokenizer, is_supported

MAX_CACHED_WORDS = 200_000
"""Cached words; a full cache is cleared."""


class CachedTokenizer:
    """Encodes texts as ``tokenizers.Tokenizer`` does, without special tokens."""

    def __init__(self, tokenizer: str) -> None:
        """Load a tokenizer.

        Args:
            tokenizer: JSON of the ``tokenizers`` library.

        Raises:
            GendistError: if it needs the library, which is not installed.
        """
        parsed = json.loads(tokenizer)
        self._words = WordTokenizer(parsed) if is_supported(parsed) else None
        """The tokenizer in Python, or None if it is not of BERT's kind."""
        self._library = None if self._words else _load_library_tokenizer(tokenizer)
        self._unknown_id = _find_unknown_id(parsed)
        """Id of the unknown token; None if the tokenizer has none."""
        self.cache: dict[str, bytes] = {}
        """Ids of each word, as the bytes of an int32 array."""

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return the token ids of each text, (pieces,) int32."""
        if self._library is not None:
            encodings = self._library.encode_batch_fast(list(texts), add_special_tokens=False)
            return [np.array(encoding.ids, np.int32) for encoding in encodings]
        return [np.frombuffer(self._encode_words(text.split(" ")), np.int32) for text in texts]

    def has_known_piece(self, ids: np.ndarray) -> bool:
        """Return whether a text (pieces,) has a known piece; emoji and other scripts may have none."""
        # Fast path: most texts begin with a known piece.
        return len(ids) > 0 and bool(ids[0] != self._unknown_id or (ids != self._unknown_id).any())

    def _encode_words(self, words: list[str]) -> bytes:
        try:
            return b"".join(map(self.cache.__getitem__, words))
        except KeyError:
            if len(self.cache) >= MAX_CACHED_WORDS:
                self.cache = {}
            cache = self.cache  # another thread may replace the cache meanwhile
            missing = [word for word in dict.fromkeys(words) if word not in cache]
            found = {word: np.array(self._encode_word(word), np.int32).tobytes() for word in missing}
            cache |= found
            return b"".join(cache[word] for word in words)

    def _encode_word(self, word: str) -> list[int]:
        assert self._words is not None  # noqa: S101
        return self._words.encode(word)


def _load_library_tokenizer(tokenizer: str) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise GendistError("this model's tokenizer needs the tokenizers library: pip install tokenizers") from None
    return Tokenizer.from_str(tokenizer)


def _find_unknown_id(parsed: dict[str, Any]) -> int | None:
    model = parsed.get("model") or {}
    if isinstance(model.get("unk_id"), int):  # Unigram
        return int(model["unk_id"])
    name = model.get("unk_token")  # BPE, WordPiece and WordLevel
    added = {token["content"]: token["id"] for token in parsed.get("added_tokens") or []}
    found = added.get(name, (model.get("vocab") or {}).get(name)) if isinstance(name, str) else None
    return found if isinstance(found, int) else None
