"""What a person should know of their rows before a study runs: findings in plain words."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from gendist.cli.own_data.text_rows import DroppedRow, TextRows
from gendist.cli.own_data.train_test_split import group_equal_texts
from gendist.io.escape import shorten
from gendist.stages.texts.alike import groups, normalised

MIN_CLASS_ROWS = 20
"""Classes below this are learned badly."""
IMBALANCE = 10
MAX_EXAMPLES = 3
MAX_SUBWORDS = 128
"""Pieces at which the embedded models' settings cut texts."""
ENGLISH_WORDS = re.compile(
    r"\b(the|and|to|that|with|you|are|this|have|from|not|what|my|how|it|they|can|your|when|who|is|of)\b", re.IGNORECASE
)
MIN_ENGLISH_SHARE = 0.04
"""English texts consist of these words by a fifth or more, terse ones by a tenth; others hardly have any."""


def row_warnings(rows: TextRows) -> Iterator[str]:
    """Yield warnings about one file's rows."""
    yield from _duplicate_texts(rows)
    yield from _label_conflicts(rows)
    yield from _label_variants(rows)
    yield from _class_sizes(rows)


def _line_numbers(rows: TextRows, places: Sequence[int]) -> str:
    numbers = ", ".join(str(rows.numbers[i]) for i in places[:MAX_EXAMPLES])
    return f"{rows.unit}{'s' if len(places) > 1 else ''} {numbers}{', …' if len(places) > MAX_EXAMPLES else ''}"


def _quote_text(rows: TextRows, place: int) -> str:
    return f"'{shorten(rows.texts[place], 50)}'"


def _duplicate_texts(rows: TextRows) -> Iterator[str]:
    repeated = [group for group in group_equal_texts(rows) if len(group) > 1]
    if repeated:
        count = sum(len(group) - 1 for group in repeated)
        example = f"{_line_numbers(rows, repeated[0])}: {_quote_text(rows, repeated[0][0])}"
        yield f"{count:,} row(s) repeat an earlier text ({example}); they are kept, and count more than once"


def _label_conflicts(rows: TextRows) -> Iterator[str]:
    found = [group for group in group_equal_texts(rows) if len({rows.labels[i] for i in group}) > 1]
    if found:
        names = " and ".join(f"'{name}'" for name in sorted({rows.labels[i] for i in found[0]}))
        example = f"{_line_numbers(rows, found[0])}: {_quote_text(rows, found[0][0])} is {names}"
        yield f"{len(found):,} text(s) have more than one label ({example}); one of them is likely wrong"


def _label_variants(rows: TextRows) -> Iterator[str]:
    counts = rows.counts
    for names in groups(counts):
        told = " and ".join(f"'{name}' ({counts[name]:,} rows)" for name in names)
        numbers = all(name.strip().replace(".", "", 1).isdecimal() for name in names)
        differ = "are the same number" if numbers else "differ in case or spaces only"
        yield f"labels that {differ} are different classes: {told}; --merge-case merges them"


def _class_sizes(rows: TextRows) -> Iterator[str]:
    counts = rows.counts
    small = {name: n for name, n in counts.items() if n < MIN_CLASS_ROWS}
    if small:
        told = ", ".join(f"'{name}' ({n})" for name, n in list(small.items())[:8])
        more = f" and {len(small) - 8} more" if len(small) > 8 else ""
        yield f"{len(small)} class(es) have fewer than {MIN_CLASS_ROWS} rows: {told}{more}; expect little of them"
    if counts and max(counts.values()) >= IMBALANCE * min(counts.values()):
        (big, most), (rare, least) = next(iter(counts.items())), list(counts.items())[-1]
        yield (
            f"classes are uneven: '{big}' has {most:,} rows, '{rare}' {least:,}; "
            "look at macro F1, which counts every class alike, rather than at accuracy"
        )


def overlap_warnings(train: TextRows, test: TextRows) -> Iterator[str]:
    """Yield a warning about test texts that stand among the training rows."""
    known = {normalised(text): place for place, text in reversed(list(enumerate(train.texts)))}
    found = [i for i, text in enumerate(test.texts) if normalised(text) in known]
    if found:
        pair = f"{_line_numbers(test, found[:1])} of {test.name} is {train.unit} {_training_line(train, known, test, found[0])}"
        yield (
            f"{len(found):,} test row(s) stand in the training file too ({pair} of {train.name}: "
            f"{_quote_text(test, found[0])}); accuracy will look too good"
        )


def _training_line(train: TextRows, known: dict[str, int], test: TextRows, place: int) -> int:
    return train.numbers[known[normalised(test.texts[place])]]


def dropped_row_warnings(dropped: Sequence[DroppedRow], unit: str) -> Iterator[str]:
    """Yield a line for each reason for which rows are left out."""
    for why, count in Counter(row.why for row in dropped).items():
        numbers = [str(row.number) for row in dropped if row.why == why]
        shown = ", ".join(numbers[:MAX_EXAMPLES]) + (", …" if len(numbers) > MAX_EXAMPLES else "")
        yield f"left out {count:,} row(s): {why} ({unit}{'s' if count > 1 else ''} {shown})"


def length_warnings(rows: TextRows, pieces: Sequence[int]) -> Iterator[str]:
    """Yield warnings about long texts, and about texts that the English models cannot read.

    Args:
        rows: the rows.
        pieces: subword pieces of each of them.
    """
    long = [i for i, n in enumerate(pieces) if n > MAX_SUBWORDS]
    if long:
        yield (
            f"{len(long):,} of {len(pieces):,} texts are longer than {MAX_SUBWORDS} word pieces and are cut there "
            f"({_line_numbers(rows, long)}); what decides the class should stand before"
        )
    words = sum(len(text.split()) for text in rows.texts)
    if sum(len(ENGLISH_WORDS.findall(text)) for text in rows.texts) < MIN_ENGLISH_SHARE * words:
        yield (
            "the texts do not look like English, which is all that the embedded models read; "
            "other models can be named in the config under generators and teachers"
        )
