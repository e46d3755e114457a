"""Piece ids of texts, each word looked up once.

The tokenizers library takes most of its time to normalise and split a text anew. Words come again; where what is made
of a word depends on that word alone, a table of those seen gives the same ids in a tenth of the time.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from tokenizers import Tokenizer

MAX_CACHED_WORDS = 200_000
"""Words that are kept; a stream of ever new ones starts the table anew."""


class CachedTokenizer:
    """Turns texts into ids as a tokenizer does, without special pieces."""

    def __init__(self, tokenizer: str) -> None:
        """Take the JSON of a tokenizer of the ``tokenizers`` library."""
        self._tokenizer = Tokenizer.from_str(tokenizer)
        parsed = json.loads(tokenizer)
        self._by_word = is_word_local(parsed)
        self._unknown = self._unknown_id(parsed.get("model") or {})
        """Id of the piece that stands for what is not in the vocabulary; None if the tokenizer has none."""
        self._known: dict[str, bytes] = {}
        """Ids of each word's pieces, as the bytes of an int32 array."""

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return the ids of each text's pieces, (pieces,) int32."""
        if not self._by_word:
            return self._whole(texts)
        return [np.frombuffer(self._joined(text.split(" ")), np.int32) for text in texts]

    def knows(self, ids: np.ndarray) -> bool:
        """Return whether any of a text's pieces (pieces,) is in the vocabulary; emoji and other scripts may not be."""
        # Most texts begin with a known piece: the whole is compared only where one does not.
        return len(ids) > 0 and bool(ids[0] != self._unknown or (ids != self._unknown).any())

    def _unknown_id(self, model: dict[str, Any]) -> int | None:
        if isinstance(model.get("unk_id"), int):  # Unigram
            return int(model["unk_id"])
        name = model.get("unk_token")  # BPE, WordPiece and WordLevel
        return self._tokenizer.token_to_id(name) if isinstance(name, str) else None

    def _joined(self, words: list[str]) -> bytes:
        try:
            return b"".join(map(self._known.__getitem__, words))
        except KeyError:
            if len(self._known) >= MAX_CACHED_WORDS:
                self._known = {}
            known = self._known  # another thread may start a table of its own meanwhile
            missing = [word for word in dict.fromkeys(words) if word not in known]
            found = dict(zip(missing, map(np.ndarray.tobytes, self._whole(missing)), strict=True))
            known |= found
            return b"".join(known[word] for word in words)

    def _whole(self, texts: Sequence[str]) -> list[np.ndarray]:
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, np.int32) for encoding in encodings]


def is_word_local(tokenizer: dict[str, Any]) -> bool:
    """Say whether a text's pieces are those of its parts between spaces, whatever stands in these.

    So it is where the text is normalised character by character, split at spaces, and each word cut into pieces by
    itself; as with the embedded subwords.

    Args:
        tokenizer: the parsed JSON.
    """
    normalizer, model = tokenizer.get("normalizer") or {}, tokenizer.get("model") or {}
    steps = normalizer.get("normalizers", [normalizer])
    return (
        all(map(_is_character_local, steps))
        and (tokenizer.get("pre_tokenizer") or {}).get("type") == "BertPreTokenizer"
        and model.get("type") in ("BPE", "WordPiece")
        and not model.get("dropout")
        and tokenizer.get("truncation") is None
        and tokenizer.get("padding") is None
        and not any(" " in token["content"] or token["lstrip"] or token["rstrip"] for token in _added_tokens(tokenizer))
    )


def _is_character_local(step: dict[str, Any]) -> bool:
    """Say whether a step of the normalisation never looks across a space."""
    if step.get("type") in ("BertNormalizer", "Lowercase", "NFD", "NFKD", "StripAccents"):
        return True
    return step.get("type") == "Replace" and step.get("pattern") == {"Regex": "[0-9]"} and step.get("content") == "0"


def _added_tokens(tokenizer: dict[str, Any]) -> list[dict[str, Any]]:
    return list(tokenizer.get("added_tokens") or [])
