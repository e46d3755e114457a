"""Training sequences of the generator: windows of concatenated text, or one text each."""

from collections.abc import Iterator, Sequence

import numpy as np

from gendist.errors import GendistError


def tokenize(
    tokenizer: object, texts: Sequence[str], limit: int, start: int, end: int, prompts: Sequence[str] | None = None
) -> list[list[int]]:
    """Return ``start text end`` ids; a text is cut, and its end token dropped, at ``limit`` tokens.

    With ``prompts``, one per text, ``start prompt text end``; both are tokenized apart, so that a text
    has the tokens that it would have alone.

    Raises:
        GendistError: if a prompt leaves no room for its text.
    """
    encoded = tokenizer(list(texts), add_special_tokens=False)["input_ids"]  # type: ignore[operator]
    if prompts is None:
        return [[start, *ids, end][:limit] for ids in encoded]
    before = {prompt: tokenizer(prompt, add_special_tokens=False)["input_ids"] for prompt in prompts}  # type: ignore[operator]
    for prompt, ids in before.items():
        if len(ids) > limit - 2:
            raise GendistError(f"prompt '{prompt}' has {len(ids)} tokens; at most {limit - 2} leave room for a text")
    return [[start, *before[prompt], *ids, end][:limit] for prompt, ids in zip(prompts, encoded, strict=True)]


def windows(rows: Sequence[list[int]], length: int, start: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """Yield one epoch of random windows over the concatenated rows.

    As many windows as it takes to read as many tokens as the texts have: the paper's code
    draws windows of 1,024 tokens at random offsets, so "one epoch" means one text length.
    Rows overlap by their separator: the end token of a model whose start and end token are
    the same (GPT-2) is not doubled.
    """
    stream = np.concatenate(
        [row[1:] if i and row[0] == start == rows[i - 1][-1] else row for i, row in enumerate(rows)]
    )
    length = min(length, len(stream))
    for _ in range(max(1, round(len(stream) / length))):
        offset = rng.integers(0, len(stream) - length + 1)
        yield stream[offset : offset + length].tolist()


def examples(rows: Sequence[list[int]], rng: np.random.Generator) -> Iterator[list[int]]:
    """Yield every text once in random order."""
    for index in rng.permutation(len(rows)):
        yield rows[index]
