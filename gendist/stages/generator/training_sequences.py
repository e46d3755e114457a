"""Training sequences of the generator: random windows of the concatenated texts, or single texts."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gendist.errors import GendistError


def tokenize_rows(
    tokenizer: Any,
    texts: Sequence[str],
    *,
    limit: int,
    start: int,
    end: int,
    prompts: Sequence[str] | None = None,
) -> list[list[int]]:
    """Tokenise texts to ``start [prompt] text end`` ids.

    Args:
        tokenizer: transformers tokenizer.
        texts: texts to tokenise.
        limit: maximum length; longer sequences are truncated, without an end token.
        start: id of the start token.
        end: id of the end token.
        prompts: one per text, or None. Prompt and text are tokenised separately, so that a text's tokens do not depend
            on its prompt.

    Raises:
        GendistError: if a prompt is too long to leave a token for its text.
    """
    encoded = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    if prompts is None:
        return [[start, *ids, end][:limit] for ids in encoded]
    prompt_ids = {prompt: tokenizer(prompt, add_special_tokens=False)["input_ids"] for prompt in prompts}
    for prompt, ids in prompt_ids.items():
        if len(ids) > limit - 2:
            raise GendistError(f"prompt '{prompt}' has {len(ids)} tokens; at most {limit - 2} leave room for a text")
    return [[start, *prompt_ids[prompt], *ids, end][:limit] for prompt, ids in zip(prompts, encoded, strict=True)]


def random_windows(rows: Sequence[list[int]], length: int, start: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """Yield one epoch of windows at random offsets in the concatenated rows.

    An epoch has about as many tokens as the rows: the paper's code draws windows of 1,024 tokens at random offsets. If
    start and end token are the same (GPT-2), neighbouring rows share one.
    """
    stream = np.concatenate(
        [row[1:] if i and row[0] == start == rows[i - 1][-1] else row for i, row in enumerate(rows)]
    )
    length = min(length, len(stream))
    for _ in range(max(1, round(len(stream) / length))):
        offset = rng.integers(0, len(stream) - length + 1)
        yield stream[offset : offset + length].tolist()


def shuffled_rows(rows: Sequence[list[int]], rng: np.random.Generator) -> Iterator[list[int]]:
    """Yield one epoch of rows in random order."""
    for index in rng.permutation(len(rows)):
        yield rows[index]
