"""Data checks before a study: each yields a warning for the user."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from gendist.cli.own_data.text_rows import DroppedRow, TextRows
from gendist.cli.own_data.train_test_split import group_equal_texts
from gendist.io.escape import shorten
from gendist.stages.texts.similar_labels import group_similar_labels, normalise_text, quote_label

MIN_CLASS_ROWS = 20
"""Smaller classes get a warning."""
IMBALANCE = 10
"""Ratio of the largest to the smallest class that gets a warning."""
MISSING_VALUES = ("nan", "na", "n/a", "<na>", "null", "none", "nat", "#n/a")
"""How programs write a missing value, in lower case."""
MAX_EXAMPLES = 3
MAX_SUBWORDS = 128
"""Maximum subwords per text in the settings of the embedded models."""
ENGLISH_WORDS = re.compile(
    r"\b(the|and|to|that|with|you|are|this|have|from|not|what|my|how|it|they|can|your|when|who|is|of)\b", re.IGNORECASE
)
MIN_ENGLISH_SHARE = 0.04
"""Minimum share of ``ENGLISH_WORDS``: 0.2 in English texts, 0.1 in terse ones, almost 0 in other languages."""


def row_warnings(rows: TextRows) -> Iterator[str]:
    """Yield warnings about the rows of one file: duplicates, label conflicts, label variants, class sizes."""
    yield from _duplicate_texts(rows)
    yield from _label_conflicts(rows)
    yield from _label_variants(rows)
    yield from _missing_values(rows)
    yield from _class_sizes(rows)


def _line_numbers(rows: TextRows, indices: Sequence[int]) -> str:
    numbers = ", ".join(str(rows.numbers[i]) for i in indices[:MAX_EXAMPLES])
    return f"{rows.unit}{'s' if len(indices) > 1 else ''} {numbers}{', …' if len(indices) > MAX_EXAMPLES else ''}"


def _quote_text(rows: TextRows, index: int) -> str:
    return f"'{shorten(rows.texts[index], 50)}'"


def _duplicate_texts(rows: TextRows) -> Iterator[str]:
    repeated = [group for group in group_equal_texts(rows) if len(group) > 1]
    if repeated:
        count = sum(len(group) - 1 for group in repeated)
        example = f"{_line_numbers(rows, repeated[0])}: {_quote_text(rows, repeated[0][0])}"
        yield f"{count:,} row(s) repeat an earlier text ({example}); they are kept and count more than once"


def _label_conflicts(rows: TextRows) -> Iterator[str]:
    found = [group for group in group_equal_texts(rows) if len({rows.labels[i] for i in group}) > 1]
    if found:
        names = " and ".join(f"'{name}'" for name in sorted({rows.labels[i] for i in found[0]}))
        example = f"{_line_numbers(rows, found[0])}: {_quote_text(rows, found[0][0])} is {names}"
        yield f"{len(found):,} text(s) have more than one label ({example}); one of them is likely wrong"


def _label_variants(rows: TextRows) -> Iterator[str]:
    counts = rows.counts
    for names in group_similar_labels(counts):
        listed = " and ".join(f"{quote_label(name)} ({counts[name]:,} rows)" for name in names)
        numbers = all(name.strip().replace(".", "", 1).isdecimal() for name in names)
        differ = "are the same number" if numbers else "differ in case, spaces or invisible characters only"
        yield f"labels that {differ} are different classes: {listed}; --merge-case merges them"


def _missing_values(rows: TextRows) -> Iterator[str]:
    for name, count in rows.counts.items():
        if name.lower() in MISSING_VALUES:
            yield f"'{name}' ({count:,} rows) is a class; if it stands for a missing label, empty those cells"


def _class_sizes(rows: TextRows) -> Iterator[str]:
    counts = rows.counts
    rare = {name: n for name, n in counts.items() if n < MIN_CLASS_ROWS}
    if rare:
        listed = ", ".join(f"'{name}' ({n})" for name, n in list(rare.items())[:8])
        more = f" and {len(rare) - 8} more" if len(rare) > 8 else ""
        yield f"{len(rare)} class(es) have fewer than {MIN_CLASS_ROWS} rows: {listed}{more}; their scores will be low"
    if counts and max(counts.values()) >= IMBALANCE * min(counts.values()):
        (largest, most), (smallest, least) = next(iter(counts.items())), list(counts.items())[-1]
        yield (
            f"classes are uneven: '{largest}' has {most:,} rows, '{smallest}' {least:,}; "
            "prefer macro F1, which weighs all classes equally, to accuracy"
        )


def overlap_warnings(train: TextRows, test: TextRows) -> Iterator[str]:
    """Yield a warning if test texts occur in the training rows."""
    train_index = {normalise_text(text): index for index, text in reversed(list(enumerate(train.texts)))}
    found = [i for i, text in enumerate(test.texts) if normalise_text(text) in train_index]
    if found:
        line = _training_line(train, train_index, test, found[0])
        pair = f"{_line_numbers(test, found[:1])} of {test.name} is {train.unit} {line}"
        yield (
            f"{len(found):,} test row(s) also occur in the training file ({pair} of {train.name}: "
            f"{_quote_text(test, found[0])}); accuracy will be overestimated"
        )


def _training_line(train: TextRows, train_index: dict[str, int], test: TextRows, index: int) -> int:
    return train.numbers[train_index[normalise_text(test.texts[index])]]


def dropped_row_warnings(dropped: Sequence[DroppedRow], unit: str) -> Iterator[str]:
    """Yield one line per reason with the dropped rows."""
    for reason, count in Counter(row.reason for row in dropped).items():
        numbers = [str(row.number) for row in dropped if row.reason == reason]
        shown = ", ".join(numbers[:MAX_EXAMPLES]) + (", …" if len(numbers) > MAX_EXAMPLES else "")
        yield f"left out {count:,} row(s): {reason} ({unit}{'s' if count > 1 else ''} {shown})"


def length_warnings(rows: TextRows, n_subwords: Sequence[int]) -> Iterator[str]:
    """Yield warnings about truncated texts, and about languages that the embedded models do not support.

    Args:
        rows: the rows.
        n_subwords: number of subwords of each row.
    """
    truncated = [i for i, n in enumerate(n_subwords) if n > MAX_SUBWORDS]
    if truncated:
        yield (
            f"{len(truncated):,} of {len(n_subwords):,} texts have more than {MAX_SUBWORDS} subwords and are truncated "
            f"({_line_numbers(rows, truncated)}); put the decisive part first"
        )
    words = sum(len(text.split()) for text in rows.texts)
    if sum(len(ENGLISH_WORDS.findall(text)) for text in rows.texts) < MIN_ENGLISH_SHARE * words:
        yield (
            "the texts do not look like English, the only language of the embedded models; "
            "set other models in the config under generators and teachers"
        )
