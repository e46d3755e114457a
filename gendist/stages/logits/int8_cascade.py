"""Score in 8-bit integers, and again in float32 where the two best classes are close.

The best class is then that of float32 unless integers err by more than they were seen to.
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from gendist.nn.int8.encoder import IntegerEncoder
from gendist.nn.packed_linear import pack_linear_layers
from gendist.stages.logits.batched_logits import predict_logits

INT8_ERROR_KEY = "int8_error"
"""Key in a teacher's ``config.json``: by how much integers change the distance of two classes' logits, at most."""
BF16_KEY = "bf16"
"""Key in the same file, of a teacher that was finetuned on a GPU: whether one may score in bf16."""
CALIBRATION_TEXTS = 64
"""Texts on which that is measured."""
INT8_BATCH_TOKENS, FLOAT32_BATCH_TOKENS = 512, 128
"""Tokens in a batch of integers, and of float32: few texts, of all lengths, would leave larger ones mostly filler.
Integers skip most of what is filler."""


def supports_int8(config: Any) -> bool:
    """Say whether a classifier of this configuration can be run in integers."""
    return config.model_type == "bert" and not config.is_decoder and config.hidden_act == "gelu"


def int8_copy(model: Any) -> Any:
    """Return a copy of a classifier over BERT, in evaluation mode, with its layers in 8-bit integers."""
    base = getattr(model, model.base_model_prefix)
    layers, base.encoder = base.encoder, None  # not to be copied
    try:
        fast = copy.deepcopy(model).eval()
    finally:
        base.encoder = layers
    getattr(fast, model.base_model_prefix).encoder = IntegerEncoder(layers)
    return fast


def int8_error(model: Any, tokenizer: Any, texts: Sequence[str], max_tokens: int) -> float | None:
    """Return by how much the distance of a class to the best one changes on some texts, at most.

    None for architectures that cannot be run in integers.
    """
    if not supports_int8(model.config):
        return None
    some = texts[:CALIBRATION_TEXTS]
    exact = predict_logits(model, tokenizer, some, max_tokens)
    change = predict_logits(int8_copy(model), tokenizer, some, max_tokens) - exact
    best = change[np.arange(len(some)), exact.argmax(1)]
    return float(f"{np.abs(change - best[:, None]).max():.3g}")


def top_two_margins(logits: np.ndarray) -> np.ndarray:
    """Return by how much each text's best class is ahead of the next, (texts,), from logits (texts, classes)."""
    best = np.sort(logits, 1)
    ahead: np.ndarray = best[:, -1] - best[:, -2]
    return ahead


class Int8Cascade:
    """A classifier in integers, and in float32 behind it."""

    def __init__(self, model: Any, tokenizer: Any, max_tokens: int, error: float) -> None:
        """Take a classifier over BERT on a CPU, which is packed; texts are cut to ``max_tokens``.

        Args:
            model: the classifier.
            tokenizer: its tokenizer.
            max_tokens: longer texts are cut.
            error: of ``int8_error``.
        """
        self._fast, self._exact = int8_copy(model), pack_linear_layers(model)
        self._tokenizer, self._max_tokens, self._error = tokenizer, max_tokens, error

    def logits(self, texts: Sequence[str], what: str = "") -> tuple[np.ndarray, int]:
        """Return float32 logits (texts, classes), and how many texts were scored in float32.

        A text scores the same whatever it is scored with. With a name, ``what``, progress is logged.
        """
        logits = predict_logits(self._fast, self._tokenizer, texts, self._max_tokens, what, INT8_BATCH_TOKENS)
        close = np.flatnonzero(top_two_margins(logits) < self._error).tolist()
        if close:
            again = [texts[i] for i in close]
            logits[close] = predict_logits(
                self._exact, self._tokenizer, again, self._max_tokens, fixed=FLOAT32_BATCH_TOKENS
            )
        return logits, len(close)
