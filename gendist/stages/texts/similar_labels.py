"""Find equal texts, and labels that probably name the same class."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable


def normalise_text(text: str) -> str:
    """Normalise case, Unicode width (NFKC) and white space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def count_shared_texts(train: Iterable[str], test: Iterable[str]) -> int:
    """Count the test texts that are training texts too, up to case, width and white space."""
    known = set(map(normalise_text, train))
    return sum(normalise_text(text) in known for text in test)


def label_key(name: str) -> str:
    """Return a key that labels of the same class share.

    It is the normalised text without invisible characters; a decimal number has no trailing zeros.
    """
    visible = "".join(character for character in name if unicodedata.category(character) != "Cf")
    normalised = normalise_text(visible)
    if re.fullmatch(r"-?[0-9]+\.[0-9]+", normalised):
        return normalised.rstrip("0").removesuffix(".")
    return normalised


def group_similar_labels(names: Iterable[str]) -> list[list[str]]:
    """Return groups of two or more names that share a ``label_key``."""
    spellings: dict[str, list[str]] = defaultdict(list)
    for name in names:
        spellings[label_key(name)].append(name)
    return [group for group in spellings.values() if len(group) > 1]


def describe_similar(name: str, known: Iterable[str]) -> str:
    """Return which known label is similar to an unknown one, as the end of a sentence; empty if none is."""
    similar = next((one for one in known if label_key(one) == label_key(name)), None)
    return "" if similar is None else f"{quote_label(similar)} differs from {quote_label(name)} in spelling only"


def format_similar_labels(names: Iterable[str]) -> list[str]:
    """Return each group of similar labels as text for a message."""
    return [" and ".join(map(quote_label, group)) for group in group_similar_labels(names)]


def quote_label(name: str) -> str:
    """Quote a label; if it looks like its normalised form or has invisible characters, with escapes."""
    plain = name.isprintable() and name == unicodedata.normalize("NFC", name)
    return f"'{name}'" if plain else ascii(name)
