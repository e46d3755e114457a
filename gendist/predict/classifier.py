"""Text classifier of an exported student: labels and calibrated probabilities."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gendist.errors import GendistError, first_line
from gendist.predict.cached_tokenizer import CachedTokenizer
from gendist.predict.exported_model import ExportedModel, load_exported_model
from gendist.predict.lookup_network import LookupNetwork, load_lookup_network

if TYPE_CHECKING:
    from gendist.predict.onnx_network import OnnxNetwork

BATCH_SIZE = 64
"""Rows per network call; on one core, larger batches were no faster."""
CHUNK_TEXTS = 1_000
"""Texts whose ids and features are in memory at once."""
EMPTY_TEXT_IDS = np.zeros(1, np.int32)
"""Token ids of the empty text in training; also used for texts without known pieces."""


class TextClassifier:
    """An exported student with scikit-learn's classifier interface. Thread-safe.

    The result of a text does not depend on the other texts of the call, up to float32 rounding.
    """

    def __init__(
        self, model: ExportedModel, *, threads: int = 1, batch_size: int = BATCH_SIZE, compiled: bool = False
    ) -> None:
        """Create a classifier from a loaded model; see ``load`` for the arguments."""
        self.network = _load_network(model, threads, batch_size, compiled)
        """The student: token ids to logits."""
        try:
            self.tokenizer = CachedTokenizer(model.tokenizer)
            """Texts to token ids."""
        except GendistError:
            raise
        except Exception as error:  # tokenizers raises Exception
            raise GendistError(f"the model's tokenizer cannot be loaded ({first_line(error)})") from None
        self._model = model
        self.classes_ = np.array(model.labels)
        """Label names in the column order of the probabilities, (classes,)."""

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        int8: bool = True,
        threads: int = 1,
        batch_size: int = BATCH_SIZE,
        tables: bool = True,
        compiled: bool = False,
    ) -> "TextClassifier":
        """Load a folder written by ``gendist export``.

        Args:
            folder: the exported model.
            int8: use int8 weights, a quarter of the size; else float32.
            threads: CPU threads of ONNX Runtime.
            batch_size: rows per call of ONNX Runtime.
            tables: with ``int8``, use lookup tables in place of the ONNX model if the student has them (Kim): six
                times as fast, on one thread, with 30 MB more memory.
            compiled: with tables, compile the pooling with Numba: the same results, faster, after most of a second
                of compilation. For services, or a hundred thousand texts.

        Raises:
            GendistError: if the folder has no intact exported model, or ``compiled`` and Numba is missing.
        """
        return cls(
            load_exported_model(Path(folder), int8, tables), threads=threads, batch_size=batch_size, compiled=compiled
        )

    @property
    def text_columns(self) -> list[str]:
        """Text columns of the training data."""
        return list(self._model.text_columns)

    @property
    def separator(self) -> str:
        """Separator between joined text columns."""
        return self._model.separator

    @property
    def temperature(self) -> float:
        """Calibration temperature: logits are divided by it before the softmax."""
        return self._model.temperature

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """Return the label name of each text, (rows,)."""
        return self.classes_[self.logits(texts).argmax(1)]

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Return calibrated probabilities (rows, classes) float64, columns in the order of ``classes_``."""
        scaled = self.logits(texts).astype(np.float64) / self._model.temperature
        exps = np.exp(scaled - scaled.max(1, keepdims=True))
        return exps / exps.sum(1, keepdims=True)

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        """Return uncalibrated logits, (rows, classes) float32.

        A text without known pieces gets the logits of the empty text.

        Raises:
            TypeError: if ``texts`` is a single string, or an element is not a string.
        """
        texts = _validate_texts(texts)
        logits = np.empty((len(texts), len(self.classes_)), np.float32)
        for start in range(0, len(texts), CHUNK_TEXTS):
            part = slice(start, start + CHUNK_TEXTS)
            logits[part] = self.network.logits(self._encode(texts[part]))
        return logits

    def _encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        # As in training: no special tokens, truncated.
        max_pieces = self._model.max_pieces
        encoded = [ids[:max_pieces] for ids in self.tokenizer.encode([text.strip() for text in texts])]
        return [ids if self.tokenizer.has_known_piece(ids) else EMPTY_TEXT_IDS for ids in encoded]


def _validate_texts(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str):
        raise TypeError("expected a sequence of texts, got one text; write [text]")
    texts = list(texts)
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"text {number} is of type {type(text).__name__}, expected str")
    return texts


def _load_network(model: ExportedModel, threads: int, batch_size: int, compiled: bool) -> "OnnxNetwork | LookupNetwork":
    if model.lookup_weights is not None:
        return load_lookup_network(model.lookup_weights, len(model.labels), compiled)
    try:
        from gendist.predict import onnx_network  # imported on demand: lookup tables do not need ONNX Runtime
    except ImportError:
        raise GendistError(
            "float32, and students without look-up tables, need ONNX Runtime: pip install onnxruntime (extra 'onnx')"
        ) from None
    return onnx_network.OnnxNetwork(model.network, len(model.labels), threads, batch_size)
