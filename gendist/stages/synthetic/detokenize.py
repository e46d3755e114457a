"""Detokenise generated text: remove the spaces that a WordPiece tokenizer leaves around punctuation.

Uncased BERT tokenizers, such as the pocket generator's, decode to lower-cased text with spaces around every punctuation
mark: ``mary ' s kick - off ( $ 5. 2 million )``. ``detokenize`` is for tables and pages; data files keep the generated
text.
"""

import re
import string
import unicodedata
from collections.abc import Sequence

Sides = tuple[bool, bool]
"""Whether a mark is attached to the token before it, and to the token after it."""

ALONE: Sides = (False, False)
BEFORE: Sides = (True, False)
AFTER: Sides = (False, True)
BOTH: Sides = (True, True)

CURLY_APOSTROPHE, OPENING_CURLY, EN_DASH = "\u2019", "\u2018", "\u2013"
ATTACHED = ".,?!"
"""Marks that the WordPiece decoder attaches to the token before them."""
FIXED = {
    **dict.fromkeys(".,?!;:)]}…”", BEFORE),
    **dict.fromkeys("([{“" + OPENING_CURLY, AFTER),
    "/": BOTH,
}
"""Attachment of marks where no rule below applies; other marks are attached to nothing."""
CONTRACTIONS = {"s", "t", "d", "m", "re", "ve", "ll", "n", "l"}
"""Endings after an apostrophe: it's, don't, I'd, I'm, we're, we've, we'll, fed'n, nat'l."""
ELISIONS = {"em", "til", "tis", "twas", "cause"}
"""Words that start with an apostrophe: 'em, 'til."""
NOT_POSSESSIVE = {"as", "asks", "calls", "does", "has", "is", "its", "reads", "says", "this", "thus", "was", "yes"}
"""Words in -s that precede a quotation, never the apostrophe of a plural possessive."""
CLAUSE_STARTS = {"a", "an", "and", "but", "he", "her", "his", "i", "it", "its", "or", "she", "that", "the", "their"}
CLAUSE_STARTS |= {"they", "this", "we", "which", "who", "with", "you"}
"""Words that follow a dash, and a hyphen only in the middle of a compound (off-the-shelf)."""
YEAR = re.compile(r"(19|20)\d\d")
"""Numbers that end a sentence more often than they start a decimal number."""
DOMAINS = {"com", "org"}
"""Top-level domains that a period attaches to the word before it; others are also ordinary words."""


def detokenize(text: str) -> str:
    """Return lower-cased tokenised text without the spaces around punctuation marks.

    Ambiguous marks get their most frequent reading: ``kick - off`` is a compound, ``1, 000`` is one number, quotation
    marks alternate between opening and closing. The function is idempotent.

    Args:
        text: a generated text.

    Returns:
        The text with some spaces removed. Text with upper case, white space other than single spaces, or a
        punctuation mark between letters is not the output of such a tokenizer and is returned unchanged, as is text
        without a separate mark.
    """
    tokens = _tokens(text)
    sides = _quotation_sides(tokens)
    for i, token in enumerate(tokens):
        if _is_mark(token) and i not in sides:
            sides[i] = _mark_sides(tokens, i)
    parts = tokens[:1]
    for i in range(1, len(tokens)):
        joined = sides.get(i - 1, ALONE)[1] or sides.get(i, ALONE)[0]
        parts.append(tokens[i] if joined else f" {tokens[i]}")
    return "".join(parts) if tokens else text


def _tokens(text: str) -> list[str]:
    """Split tokenised text into words and single marks; return an empty list for other text."""
    if any(c.isupper() or c.istitle() for c in text):
        return []
    tokens: list[str] = []
    alone = False
    for piece in text.split(" "):
        head = piece.rstrip(ATTACHED) or piece[:1]
        if not head or (len(head) > 1 and any(_is_mark(c) or c.isspace() for c in head)) or head.isspace():
            return []
        tokens += [head, *piece[len(head) :]]
        alone = alone or _is_mark(head)
    return tokens if alone else []


def _is_mark(token: str) -> bool:
    """Return whether a token is a character that BERT's pre-tokenisation splits off words."""
    return len(token) == 1 and (token in string.punctuation or unicodedata.category(token).startswith("P"))


def _mark_sides(tokens: Sequence[str], i: int) -> Sides:
    """Return how a mark, other than a quotation mark or apostrophe, is attached to its neighbours."""
    mark, before, after = tokens[i], _at(tokens, i - 1), _at(tokens, i + 1)
    digits = before[-1:].isdecimal() and after[:1].isdecimal()
    match mark:
        case "." if digits and not YEAR.fullmatch(before):
            return BOTH
        case "." if _in_abbreviation(tokens, i) or before == "www" or (_is_word(before) and after in DOMAINS):
            return BOTH
        case "," if re.search(r"(?<!\d)\d{1,3}$", before) and re.match(r"\d{3}(?!\d)", after):
            return BOTH
        case ":" if digits or after == "/":
            return BOTH
        case "-":
            return _hyphen_sides(tokens, i)
        case _ if mark == EN_DASH and digits:
            return BOTH
        case "_" | "\\" if _is_word(before) and _is_word(after):
            return BOTH
        case "&" if len(after) == 1 and len(before) in (1, 2) and before.isalpha() and after.isalpha():
            return BOTH
        case "%" if before[-1:].isdecimal():
            return BEFORE
        case "$" | "~" if after[:1].isdecimal():
            return AFTER
        case "#" if _is_word(after):
            return AFTER
        case "/" if before == "w" and after != "o":  # with
            return BEFORE
        case "+" if after[:1].isdecimal() and not _is_word(before):
            return AFTER
        case "*" if "*" in (before, after):
            return before == "*", after == "*"
    return FIXED.get(mark, ALONE)


def _hyphen_sides(tokens: Sequence[str], i: int) -> Sides:
    before, after = _at(tokens, i - 1), _at(tokens, i + 1)
    if "-" in (before, after):
        return before == "-", after == "-"
    if not _is_word(before):
        negative = after[:1].isdecimal() and not before.endswith(tuple(")]}\"'.!?%"))
        return AFTER if negative else ALONE
    if not _is_word(after):
        return BEFORE if after in (",", ")") else ALONE
    compound = _at(tokens, i - 2) == "-" or _at(tokens, i + 2) == "-"
    if after in ("and", "or", "to") and _at(tokens, i + 3) == "-":
        return BEFORE  # first- and second-graders
    return ALONE if after in CLAUSE_STARTS and not compound else BOTH


def _in_abbreviation(tokens: Sequence[str], i: int) -> bool:
    """Return whether a period is between two single letters, the second with a period of its own (u.s., 4p.m.)."""
    before, after = _at(tokens, i - 1).lstrip(string.digits), _at(tokens, i + 1)
    return all(len(letter) == 1 and letter.isalpha() for letter in (before, after)) and _at(tokens, i + 2) == "."


def _quotation_sides(tokens: Sequence[str]) -> dict[int, Sides]:
    """Return how every quotation mark and apostrophe, straight or curly, is attached."""
    sides: dict[int, Sides] = {}
    for i, mark in enumerate(tokens):
        if mark in ("'", CURLY_APOSTROPHE) and (found := _apostrophe_sides(tokens, i)):
            sides[i] = found
    for mark in "\"'":
        _pair(tokens, [i for i, other in enumerate(tokens) if other == mark and i not in sides], sides)
    return {i: BEFORE for i, mark in enumerate(tokens) if mark == CURLY_APOSTROPHE} | sides


def _apostrophe_sides(tokens: Sequence[str], i: int) -> Sides | None:
    """Return how an apostrophe in or before a word is attached; None for a possible quotation mark."""
    before, after = _at(tokens, i - 1), _at(tokens, i + 1)
    if after == "n" and _at(tokens, i + 2) == "'":
        return AFTER  # rock 'n' roll
    if before == "n" and _at(tokens, i - 2) == "'":
        return BEFORE
    if _is_word(before) and _is_word(after):
        particle = len(before) == 1 and before.isalpha() and before not in "ai"  # o'brien, d'azur, n'djamena
        if after in CONTRACTIONS or particle or (before[-1:].isdecimal() and after[:1].isdecimal()):
            return BOTH
    if re.fullmatch(r"\d\ds?", after) or after in ELISIONS:
        return AFTER
    return None


def _pair(tokens: Sequence[str], marks: Sequence[int], sides: dict[int, Sides]) -> None:
    """Alternate opening and closing among quotation marks of one kind, skipping apostrophes of plural possessives."""
    plurals = {i for i in marks if tokens[i] == "'" and _may_be_possessive(tokens, i)}
    is_open = False
    for n, i in enumerate(marks):
        after = _at(tokens, i + 1)
        others_later = sum(j not in plurals for j in marks[n + 1 :])
        # An apostrophe if the other marks pair without it.
        if i in plurals and (others_later % 2 == 1) == is_open:
            sides[i] = BEFORE
        elif is_open or (i > 0 and (not after or after in ".,;:!?)")):
            sides[i], is_open = BEFORE, False
        else:
            sides[i], is_open = AFTER, True


def _may_be_possessive(tokens: Sequence[str], i: int) -> bool:
    before = _at(tokens, i - 1)
    return before.endswith(("s", "x", "z")) and before not in NOT_POSSESSIVE and _is_word(_at(tokens, i + 1))


def _at(tokens: Sequence[str], i: int) -> str:
    return tokens[i] if 0 <= i < len(tokens) else ""


def _is_word(token: str) -> bool:
    return bool(token) and not _is_mark(token)
