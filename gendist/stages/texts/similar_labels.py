"""Labels that are likely meant as one class."""

import math
import unicodedata
from collections import defaultdict
from collections.abc import Iterable


def normalised(text: str) -> str:
    """Return a text without differences of case, width and white space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def same_class(name: str) -> str:
    """Return what is equal for labels that are likely one class: without case, width and spaces, 1.0 as 1."""
    plain = normalised(name)
    try:
        number = float(plain)
    except ValueError:
        return plain
    return f"{number:g}" if math.isfinite(number) else plain


def groups(names: Iterable[str]) -> list[list[str]]:
    """Return the names that are likely one class, two or more in each group."""
    spellings: dict[str, list[str]] = defaultdict(list)
    for name in names:
        spellings[same_class(name)].append(name)
    return [found for found in spellings.values() if len(found) > 1]


def alike_labels(names: Iterable[str]) -> list[str]:
    """Return each such group in words."""
    return [" and ".join(f"'{name}'" for name in found) for found in groups(names)]
