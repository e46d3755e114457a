"""Compute the logits of a classifier in length-sorted batches."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from gendist.errors import GendistError
from gendist.jobs import out_of_memory
from gendist.jobs.progress_log import Progress
from gendist.nn.padding import pad_batch

log = logging.getLogger(__name__)

TOKEN_BUDGET = 2048
"""Padded tokens per batch."""
LENGTH_MULTIPLE = 16
"""Batches of fixed shape pad texts to a multiple of this length."""


def tokenise(tokenizer: Any, texts: Sequence[str], max_tokens: int, model: Any) -> list[list[int]]:
    """Tokenise with special tokens, truncated to ``max_input_length``."""
    limit = max_input_length(tokenizer, max_tokens, model.config)
    return tokenizer(list(texts), truncation=True, max_length=limit)["input_ids"]


def max_input_length(tokenizer: Any, max_tokens: int, config: Any) -> int:
    """Return the truncation length in tokens: the smallest of the setting and the limits of model and tokenizer."""
    # The tokenizer's limit matters: RoBERTa has two more positions than usable tokens.
    return min(max_tokens, getattr(config, "max_position_embeddings", max_tokens), tokenizer.model_max_length)


def predict_logits(
    model: Any,
    tokenizer: Any,
    texts: Sequence[str],
    max_tokens: int,
    *,
    description: str = "",
    batch_tokens: int | None = None,
) -> np.ndarray:
    """Tokenise texts and return their float32 logits (texts, classes), in input order.

    Args:
        model: sequence classifier; set to evaluation mode.
        tokenizer: its tokenizer.
        texts: texts to score.
        max_tokens: truncation length.
        description: see ``predict_encoded``.
        batch_tokens: see ``predict_encoded``.

    Raises:
        GendistError: if a single text does not fit in memory.
    """
    return predict_encoded(
        model,
        tokenise(tokenizer, texts, max_tokens, model),
        pad_id=tokenizer.pad_token_id or 0,
        max_length=max_input_length(tokenizer, max_tokens, model.config),
        description=description,
        batch_tokens=batch_tokens,
    )


@torch.inference_mode()
def predict_encoded(
    model: Any,
    encoded: Sequence[list[int]],
    *,
    pad_id: int,
    max_length: int,
    description: str = "",
    batch_tokens: int | None = None,
) -> np.ndarray:
    """Return float32 logits (texts, classes) of token ids, in input order.

    Halves the batch size when memory runs out; logits may then differ in their last digits.

    Args:
        model: sequence classifier; set to evaluation mode.
        encoded: token ids of each text.
        pad_id: id of the padding token.
        max_length: maximum length of a text in tokens.
        description: name in progress lines; empty logs none.
        batch_tokens: tokens per batch of fixed shape, filled up with padding rows; None allows any shape. The number
            of rows changes the summation order of matrix products: only a fixed shape gives bitwise equal logits
            whatever the batch. On a GPU one row is always padding, because attention has other kernels without a mask.

    Raises:
        GendistError: if a single text does not fit in memory.
    """
    model.eval()
    order = sorted(range(len(encoded)), key=lambda i: (len(encoded[i]), i))
    logits = np.empty((len(encoded), model.config.num_labels), np.float32)
    progress = Progress(description or "scoring", len(encoded), interval=10.0 if description else float("inf"))
    pending: list[tuple[list[int], torch.Tensor]] = []
    first, budget = 0, batch_tokens or TOKEN_BUDGET
    reserved = int(bool(batch_tokens) and model.device.type == "cuda")
    while first < len(order):
        width = (
            min(-(-len(encoded[order[first]]) // LENGTH_MULTIPLE) * LENGTH_MULTIPLE, max_length)
            if batch_tokens
            else None
        )
        last = first + 1
        while last < len(order) and (last + 1 - first + reserved) * (width or len(encoded[order[last]])) <= budget:
            if width and len(encoded[order[last]]) > width:
                break
            last += 1
        indices = order[first:last]
        batch = [encoded[i] for i in indices]
        if width:  # fill with one-token rows: the int8 model skips padding
            batch += [batch[0][:1]] * (budget // width - len(batch))
        scores = _predict_batch(model, batch, pad_id=pad_id, width=width)
        if scores is None:
            budget = _halve_budget(len(batch), width or len(batch[-1]))
            continue
        pending.append((indices, scores[: len(indices)]))
        if len(pending) > 1:  # copy only after the next batch is queued on the GPU
            _store(pending.pop(0), logits, progress)
        first = last
    for scored in pending:
        _store(scored, logits, progress)
    return logits


def _store(scored: tuple[list[int], torch.Tensor], logits: np.ndarray, progress: Progress) -> None:
    indices, scores = scored
    logits[indices] = scores.cpu().numpy()
    progress.update(len(indices))


def _predict_batch(model: Any, batch: list[list[int]], *, pad_id: int, width: int | None) -> torch.Tensor | None:
    """Return float32 logits of one batch on the model's device, or None if out of memory."""
    try:
        ids, mask = pad_batch(batch, pad_id, width)
        if model.device.type == "cuda":  # asynchronous copy: does not wait for the previous batch
            ids, mask = ids.pin_memory(), mask.pin_memory()
        ids, mask = (part.to(model.device, non_blocking=True) for part in (ids, mask))
        scores: torch.Tensor = model(input_ids=ids, attention_mask=mask).logits.float()
        return scores
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory.is_out_of_memory(error):
            raise
    out_of_memory.release_memory()
    return None


def _halve_budget(rows: int, tokens: int) -> int:
    """Return the token budget for half of a batch of ``rows`` texts with ``tokens`` tokens."""
    if rows == 1:
        raise GendistError(
            f"out of memory with a single text of {tokens} tokens; lower max_tokens of the teacher, "
            "use a smaller one, or give the job more memory"
        )
    log.info("out of memory with %d texts of %d tokens; halving the batch size", rows, tokens)
    return rows // 2 * tokens
