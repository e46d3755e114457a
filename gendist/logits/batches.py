"""Run a classifier over texts in length-sorted batches."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from gendist.padding import padded
from gendist.progress import Progress

TOKEN_BUDGET = 2048
"""Padded tokens in a batch: long texts come in small batches, short ones in large."""


def encode(tokenizer: Any, texts: Sequence[str], max_tokens: int, model: Any) -> list[list[int]]:
    """Tokenise with the special tokens of the model, cut to what both the setting and the model allow."""
    # The tokenizer's own limit counts too: RoBERTa has two positions more than it can take tokens.
    limit = min(max_tokens, getattr(model.config, "max_position_embeddings", max_tokens), tokenizer.model_max_length)
    return tokenizer(list(texts), truncation=True, max_length=limit)["input_ids"]


@torch.inference_mode()
def predict_logits(model: Any, tokenizer: Any, texts: Sequence[str], max_tokens: int, what: str = "") -> np.ndarray:
    """Return float32 logits of shape (texts, classes), in the order of the texts.

    Args:
        model: sequence classifier; put into evaluation mode.
        tokenizer: its tokenizer.
        texts: what to score.
        max_tokens: longer texts are cut.
        what: name in the progress lines; none are logged without it.
    """
    model.eval()
    encoded = encode(tokenizer, texts, max_tokens, model)
    order = sorted(range(len(encoded)), key=lambda i: (len(encoded[i]), i))
    logits = np.empty((len(encoded), model.config.num_labels), np.float32)
    progress = Progress(what or "scoring", len(encoded), every=10.0 if what else float("inf"))
    first = 0
    while first < len(order):
        last = first + 1
        while last < len(order) and (last + 1 - first) * len(encoded[order[last]]) <= TOKEN_BUDGET:
            last += 1
        picks = order[first:last]
        ids, mask = padded([encoded[i] for i in picks], tokenizer.pad_token_id or 0)
        output = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device)).logits
        logits[picks] = output.float().cpu().numpy()
        progress.add(len(picks))
        first = last
    return logits
