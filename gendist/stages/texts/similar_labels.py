"""Find labels that probably name the same class."""

import math
import unicodedata
from collections import defaultdict
from collections.abc import Iterable


def normalise_text(text: str) -> str:
    """Normalise case, Unicode width (NFKC) and white space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def label_key(name: str) -> str:
    """Return a key that labels of the same class share: normalised text, numbers without trailing zeros."""
    normalised = normalise_text(name)
    try:
        number = float(normalised)
    except ValueError:
        return normalised
    return f"{number:g}" if math.isfinite(number) else normalised


def group_similar_labels(names: Iterable[str]) -> list[list[str]]:
    """Return groups of two or more names that share a ``label_key``."""
    spellings: dict[str, list[str]] = defaultdict(list)
    for name in names:
        spellings[label_key(name)].append(name)
    return [group for group in spellings.values() if len(group) > 1]


def format_similar_labels(names: Iterable[str]) -> list[str]:
    """Return each group of similar labels as text for a message."""
    return [" and ".join(f"'{name}'" for name in group) for group in group_similar_labels(names)]
