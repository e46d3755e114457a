"""Run a classifier over texts in length-sorted batches."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from gendist.errors import GendistError
from gendist.jobs import out_of_memory
from gendist.jobs.progress_log import Progress
from gendist.nn.padding import padded

log = logging.getLogger(__name__)

TOKEN_BUDGET = 2048
"""Padded tokens in a batch: long texts come in small batches, short ones in large."""
STEP = 16
"""In batches of fixed shapes, the length of a text is rounded up to a multiple of this."""


def encode(tokenizer: Any, texts: Sequence[str], max_tokens: int, model: Any) -> list[list[int]]:
    """Tokenise with the special tokens of the model, cut to what both the setting and the model allow."""
    limit = longest_input(tokenizer, max_tokens, model.config)
    return tokenizer(list(texts), truncation=True, max_length=limit)["input_ids"]


def longest_input(tokenizer: Any, max_tokens: int, config: Any) -> int:
    """Return the tokens that texts are cut to."""
    # The tokenizer's own limit counts too: RoBERTa has two positions more than it can take tokens.
    return min(max_tokens, getattr(config, "max_position_embeddings", max_tokens), tokenizer.model_max_length)


def predict_logits(
    model: Any, tokenizer: Any, texts: Sequence[str], max_tokens: int, what: str = "", fixed: int | None = None
) -> np.ndarray:
    """Return float32 logits of shape (texts, classes), in the order of the texts: those of ``encoded_logits``.

    Args:
        model: sequence classifier; put into evaluation mode.
        tokenizer: its tokenizer.
        texts: what to score.
        max_tokens: longer texts are cut.
        what: as of ``encoded_logits``.
        fixed: likewise.

    Raises:
        GendistError: if memory does not suffice for one text.
    """
    encoded, longest = encode(tokenizer, texts, max_tokens, model), longest_input(tokenizer, max_tokens, model.config)
    return encoded_logits(model, encoded, tokenizer.pad_token_id or 0, longest, what, fixed)


@torch.inference_mode()
def encoded_logits(
    model: Any,
    encoded: Sequence[list[int]],
    padding: int,
    longest: int,
    what: str = "",
    fixed: int | None = None,
) -> np.ndarray:
    """Return float32 logits of shape (texts, classes), in the order of the texts.

    Args:
        model: sequence classifier; put into evaluation mode.
        encoded: token ids of each text.
        padding: id that fills texts up.
        longest: tokens that no text has more of.
        what: name in the progress lines; none are logged without it.
        fixed: tokens in a batch, if its shape shall depend on the text alone: it is filled up. A matrix product is
            summed in another order for another number of rows, so that on a CPU a text scores the same to the last
            digit only in batches of one shape, whatever it is scored with.

    When memory runs out, batches become half as big. Logits may then differ in their last digits.

    Raises:
        GendistError: if memory does not suffice for one text.
    """
    model.eval()
    order = sorted(range(len(encoded)), key=lambda i: (len(encoded[i]), i))
    logits = np.empty((len(encoded), model.config.num_labels), np.float32)
    progress = Progress(what or "scoring", len(encoded), interval=10.0 if what else float("inf"))
    waiting: list[tuple[list[int], torch.Tensor]] = []
    first, budget = 0, fixed or TOKEN_BUDGET
    while first < len(order):
        width = min(-(-len(encoded[order[first]]) // STEP) * STEP, longest) if fixed else None
        last = first + 1
        while last < len(order) and (last + 1 - first) * (width or len(encoded[order[last]])) <= budget:
            if width and len(encoded[order[last]]) > width:
                break
            last += 1
        picks = order[first:last]
        batch = [encoded[i] for i in picks]
        if width:  # with the shortest texts there are, which a model in integers has the least work with
            batch += [batch[0][:1]] * (budget // width - len(batch))
        scores = _batch_logits(model, batch, padding, width)
        if scores is None:
            budget = _halved(len(batch), width or len(batch[-1]))
            continue
        waiting.append((picks, scores[: len(picks)]))
        if len(waiting) > 1:  # read only once a GPU has the next batch
            _read(waiting.pop(0), logits, progress)
        first = last
    for part in waiting:
        _read(part, logits, progress)
    return logits


def _read(scored: tuple[list[int], torch.Tensor], logits: np.ndarray, progress: Progress) -> None:
    picks, scores = scored
    logits[picks] = scores.cpu().numpy()
    progress.update(len(picks))


def _batch_logits(model: Any, batch: list[list[int]], padding: int, width: int | None) -> torch.Tensor | None:
    """Return the float32 logits of one batch, where the model is, or None if memory does not suffice for it."""
    try:
        ids, mask = padded(batch, padding, width)
        if model.device.type == "cuda":  # else the copy would wait for the batch before
            ids, mask = (part.pin_memory().to(model.device, non_blocking=True) for part in (ids, mask))
        scores: torch.Tensor = model(input_ids=ids, attention_mask=mask).logits.float()
        return scores
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory.is_out_of_memory(error):
            raise
    out_of_memory.release_memory()
    return None


def _halved(rows: int, tokens: int) -> int:
    """Return the budget of half a batch that was too big: ``rows`` texts of ``tokens`` tokens."""
    if rows == 1:
        raise GendistError(
            f"out of memory with a single text of {tokens} tokens; lower max_tokens of the teacher, "
            "take a smaller one, or give the job more memory"
        )
    log.info("out of memory with %d texts of %d tokens; going on with batches half as big", rows, tokens)
    return rows // 2 * tokens
