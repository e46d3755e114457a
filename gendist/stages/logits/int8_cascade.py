"""Score texts in int8, and rescore in float32 where the top two classes are close.

The top class equals that of float32 unless the int8 error exceeds the calibrated bound.
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from gendist.nn.int8_encoder import Int8Encoder
from gendist.nn.packed_linear import pack_linear_layers
from gendist.stages.logits.batched_logits import predict_logits

INT8_ERROR_KEY = "int8_error"
"""Key in a teacher's ``config.json``: calibrated bound of the int8 error of a logit difference."""
BF16_KEY = "bf16"
"""Key in the same file, for teachers finetuned on a GPU: whether scoring in bf16 is allowed."""
CALIBRATION_TEXTS = 64
"""Number of texts for the calibration."""
INT8_BATCH_TOKENS, FLOAT32_BATCH_TOKENS = 512, 128
"""Tokens per batch. Few texts are rescored: larger float32 batches would be mostly padding, which int8 skips."""


def supports_int8(config: Any) -> bool:
    """Return whether int8 inference supports this configuration (BERT encoders with GELU)."""
    return config.model_type == "bert" and not config.is_decoder and config.hidden_act == "gelu"


def int8_copy(model: Any) -> Any:
    """Return an int8 copy of a BERT classifier, in evaluation mode."""
    base = getattr(model, model.base_model_prefix)
    layers, base.encoder = base.encoder, None  # exclude from the copy
    try:
        quantized = copy.deepcopy(model).eval()
    finally:
        base.encoder = layers
    getattr(quantized, model.base_model_prefix).encoder = Int8Encoder(layers)
    return quantized


def int8_error(model: Any, tokenizer: Any, texts: Sequence[str], max_tokens: int) -> float | None:
    """Calibrate the int8 error: the largest change of a class's logit relative to the top class.

    Returns None for architectures without int8 support.
    """
    if not supports_int8(model.config):
        return None
    sample = texts[:CALIBRATION_TEXTS]
    float32_logits = predict_logits(model, tokenizer, sample, max_tokens)
    change = predict_logits(int8_copy(model), tokenizer, sample, max_tokens) - float32_logits
    top_change = change[np.arange(len(sample)), float32_logits.argmax(1)]
    return float(f"{np.abs(change - top_change[:, None]).max():.3g}")


def top_two_margins(logits: np.ndarray) -> np.ndarray:
    """Return the margin of the top class over the second, (texts,), from logits (texts, classes)."""
    ordered = np.sort(logits, 1)
    margins: np.ndarray = ordered[:, -1] - ordered[:, -2]
    return margins


class Int8Cascade:
    """An int8 classifier with float32 fallback."""

    def __init__(self, model: Any, tokenizer: Any, max_tokens: int, error: float) -> None:
        """Quantise a BERT classifier on the CPU; its linear layers are packed in place.

        Args:
            model: the classifier.
            tokenizer: its tokenizer.
            max_tokens: truncation length.
            error: bound from ``int8_error``.
        """
        self._int8, self._float32 = int8_copy(model), pack_linear_layers(model)
        self._tokenizer, self._max_tokens, self._error = tokenizer, max_tokens, error

    def logits(self, texts: Sequence[str], description: str = "") -> tuple[np.ndarray, int]:
        """Return float32 logits (texts, classes) and the number of texts rescored in float32.

        Logits do not depend on the other texts. A ``description`` enables progress lines.
        """
        logits = predict_logits(
            self._int8,
            self._tokenizer,
            texts,
            self._max_tokens,
            description=description,
            batch_tokens=INT8_BATCH_TOKENS,
        )
        close = np.flatnonzero(top_two_margins(logits) < self._error).tolist()
        if close:
            close_texts = [texts[i] for i in close]
            logits[close] = predict_logits(
                self._float32, self._tokenizer, close_texts, self._max_tokens, batch_tokens=FLOAT32_BATCH_TOKENS
            )
        return logits, len(close)
