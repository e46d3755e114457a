"""Run a classifier over texts in length-sorted batches."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from gendist.errors import GendistError
from gendist.jobs import out_of_memory
from gendist.jobs.progress import Progress
from gendist.nn.padding import padded

log = logging.getLogger(__name__)

TOKEN_BUDGET = 2048
"""Padded tokens in a batch: long texts come in small batches, short ones in large."""
LENGTH_MULTIPLE = 16
"""In batches of fixed shapes, the length of a text is rounded up to a multiple of this."""


def tokenise(tokenizer: Any, texts: Sequence[str], max_tokens: int, model: Any) -> list[list[int]]:
    """Tokenise with the special tokens of the model, cut to what both the setting and the model allow."""
    limit = max_input_length(tokenizer, max_tokens, model.config)
    return tokenizer(list(texts), truncation=True, max_length=limit)["input_ids"]


def max_input_length(tokenizer: Any, max_tokens: int, config: Any) -> int:
    """Return the tokens that texts are cut to."""
    # The tokenizer's own limit counts too: RoBERTa has two positions more than it can take tokens.
    return min(max_tokens, getattr(config, "max_position_embeddings", max_tokens), tokenizer.model_max_length)


def predict_logits(
    model: Any, tokenizer: Any, texts: Sequence[str], max_tokens: int, what: str = "", fixed: int | None = None
) -> np.ndarray:
    """Return float32 logits of shape (texts, classes), in the order of the texts: those of ``predict_encoded``.

    Args:
        model: sequence classifier; put into evaluation mode.
        tokenizer: its tokenizer.
        texts: what to score.
        max_tokens: longer texts are cut.
        what: as of ``predict_encoded``.
        fixed: likewise.

    Raises:
        GendistError: if memory does not suffice for one text.
    """
    encoded, longest = (
        tokenise(tokenizer, texts, max_tokens, model),
        max_input_length(tokenizer, max_tokens, model.config),
    )
    return predict_encoded(model, encoded, tokenizer.pad_token_id or 0, longest, what, fixed)


@torch.inference_mode()
def predict_encoded(
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
    progress = Progress(what or "scoring", len(encoded), every=10.0 if what else float("inf"))
    waiting: list[tuple[list[int], torch.Tensor]] = []
    first, budget = 0, fixed or TOKEN_BUDGET
    while first < len(order):
        width = min(-(-len(encoded[order[first]]) // LENGTH_MULTIPLE) * LENGTH_MULTIPLE, longest) if fixed else None
        last = first + 1
        while last < len(order) and (last + 1 - first) * (width or len(encoded[order[last]])) <= budget:
            if width and len(encoded[order[last]]) > width:
                break
            last += 1
        picks = order[first:last]
        batch = [encoded[i] for i in picks]
        if width:  # with the shortest texts there are, which a model in integers has the least work with
            batch += [batch[0][:1]] * (budget // width - len(batch))
        scores = _predict_batch(model, batch, padding, width)
        if scores is None:
            budget = _halve_budget(len(batch), width or len(batch[-1]))
            continue
        waiting.append((picks, scores[: len(picks)]))
        if len(waiting) > 1:  # read only once a GPU has the next batch
            _store(waiting.pop(0), logits, progress)
        first = last
    for part in waiting:
        _store(part, logits, progress)
    return logits


def _store(scored: tuple[list[int], torch.Tensor], logits: np.ndarray, progress: Progress) -> None:
    picks, scores = scored
    logits[picks] = scores.cpu().numpy()
    progress.add(len(picks))


def _predict_batch(model: Any, batch: list[list[int]], padding: int, width: int | None) -> torch.Tensor | None:
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
    out_of_memory.free()
    return None


def _halve_budget(rows: int, tokens: int) -> int:
    """Return the budget of half a batch that was too big: ``rows`` texts of ``tokens`` tokens."""
    if rows == 1:
        raise GendistError(
            f"out of memory with a single text of {tokens} tokens; lower max_tokens of the teacher, "
            "take a smaller one, or give the job more memory"
        )
    log.info("out of memory with %d texts of %d tokens; going on with batches half as big", rows, tokens)
    return rows // 2 * tokens
