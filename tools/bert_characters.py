"""Write ``gendist/predict/bert_characters.json``: what BERT's normaliser of ``tokenizers`` does to each character.

    python -m tools.bert_characters

The library uses Unicode tables of several versions, so they are read off its results, not taken from Python's.
"""

import json
import unicodedata
from collections.abc import Iterable

from tokenizers import normalizers, pre_tokenizers

from gendist.io.atomic_files import write_text
from gendist.predict.bert_normalizer import CHARACTERS, HANGUL

CODE_POINTS = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
normalise = normalizers.BertNormalizer(
    clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=True
).normalize_str


def characters() -> dict[str, object]:
    """Return the tables of ``bert_characters.json``."""
    result = {code: normalise(chr(code)) for code in CODE_POINTS}
    classes = _combining_classes(result)
    high = max(classes, key=lambda c: classes[c])
    low = min(classes, key=lambda c: classes[c])
    removed = [code for code in CODE_POINTS if result[code] == ""]
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    words = {code: len(split(f"a{chr(code)}b")) for code in CODE_POINTS}
    mapped = {
        chr(code): new
        for code, new in result.items()
        if new not in ("", chr(code)) and code not in HANGUL and not (len(new) == 3 and new.startswith(" "))
    }
    wide = [code for code in CODE_POINTS if len(result[code]) == 3 and result[code].startswith(" ")]
    return {
        "mapped": mapped,
        "spaced": {chr(code): result[code][1] for code in wide if result[code][1] != chr(code)},
        "wide": _runs(wide),
        "removed": _runs(removed),
        "starters": _runs(code for code in removed if normalise(high + chr(code) + low) == high + low),
        "classes": classes,
        "punctuation": _runs(code for code in CODE_POINTS if words[code] == 3),
        "spaces": [chr(code) for code in CODE_POINTS if words[code] == 2],
    }


def _combining_classes(result: dict[int, str]) -> dict[str, int]:
    """Return the canonical combining class of the kept characters that the normaliser puts into order."""
    kept = [chr(code) for code in CODE_POINTS if result[code] and unicodedata.combining(chr(code))]
    moved = {c for a in kept for b in kept if normalise(a + b) != result[ord(a)] + result[ord(b)] for c in (a, b)}
    return {c: unicodedata.combining(c) for c in sorted(moved)}


def _runs(codes: Iterable[int]) -> list[list[int]]:
    """Return [first, last] of each run of code points."""
    runs: list[list[int]] = []
    for code in codes:
        if runs and runs[-1][1] == code - 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return runs


if __name__ == "__main__":
    write_text(CHARACTERS, json.dumps(characters(), sort_keys=True, separators=(",", ":")) + "\n")
