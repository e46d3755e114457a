"""Texts to labels and calibrated probabilities, by an exported student."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gendist.errors import GendistError
from gendist.predict.cached_tokenizer import CachedTokenizer
from gendist.predict.exported_model import ExportedModel, load_exported_model
from gendist.predict.lookup_network import LookupNetwork, load_lookup_network

if TYPE_CHECKING:
    from gendist.predict.onnx_network import OnnxNetwork

BATCH_SIZE = 64
"""Rows that the network gets at once; on one core, larger batches were no faster."""
CHUNK_TEXTS = 1_000
"""Texts whose pieces and features are in memory together."""
EMPTY_TEXT_IDS = np.zeros(1, np.int32)
"""Ids of a text without any known piece: what the empty text was in training."""


class TextClassifier:
    """An exported student with the conventions of scikit-learn's classifiers.

    A text's result does not depend on the others it is asked for with, up to the last digits of float32.
    An instance may be used by several threads at once.
    """

    def __init__(
        self, model: ExportedModel, threads: int = 1, batch_size: int = BATCH_SIZE, compiled: bool = False
    ) -> None:
        """Make one from a model that has been read; see ``load``."""
        self._network = _load_network(model, threads, batch_size, compiled)
        try:
            self._encoder = CachedTokenizer(model.tokenizer)
        except Exception as error:  # the library raises nothing narrower
            raise GendistError(f"the model's tokenizer cannot be loaded ({str(error).splitlines()[0]})") from None
        self._model = model
        self.classes_ = np.array(model.labels)
        """Label names in the order of the probabilities' columns, (classes,)."""

    @classmethod
    def load(
        cls,
        folder: str | Path,
        int8: bool = True,
        threads: int = 1,
        batch_size: int = BATCH_SIZE,
        tables: bool = True,
        compiled: bool = False,
    ) -> "TextClassifier":
        """Read a folder that ``gendist export`` made.

        Args:
            folder: the exported model.
            int8: take 8-bit weights, a quarter of the size; else float32 ones.
            threads: CPU threads of the ONNX network (the tokenizer heeds RAYON_NUM_THREADS).
            batch_size: rows that this network gets at once.
            tables: with ``int8``, take the file that tables are made from, where the student has one (Kim), in
                place of the ONNX network: six times as fast, on one thread, for 30 MB of memory.
            compiled: with tables, add up with Numba, which must be installed: the same numbers, sooner, after most
                of a second for compiling; for services, and for a hundred thousand texts.

        Raises:
            GendistError: if the folder holds no exported model, or a damaged one; or Numba is asked for and missing.
        """
        return cls(load_exported_model(Path(folder), int8, tables), threads, batch_size, compiled)

    @property
    def text_columns(self) -> list[str]:
        """Columns of which the training texts were made."""
        return list(self._model.text_columns)

    @property
    def separator(self) -> str:
        """What stood between them."""
        return self._model.separator

    @property
    def temperature(self) -> float:
        """What logits are divided by before their softmax."""
        return self._model.temperature

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """Return the label names of texts, (rows,)."""
        return self.classes_[self.logits(texts).argmax(1)]

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Return calibrated probabilities (rows, classes) float64, columns in the order of ``classes_``."""
        scaled = self.logits(texts).astype(np.float64) / self._model.temperature
        raised = np.exp(scaled - scaled.max(1, keepdims=True))
        return raised / raised.sum(1, keepdims=True)

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        """Return what the network gives, (rows, classes) float32, not calibrated.

        A text of which no piece is in the vocabulary gets the logits of the empty text.

        Raises:
            TypeError: if ``texts`` is one text, or one of them is none.
        """
        texts = _validate_texts(texts)
        logits = np.empty((len(texts), len(self.classes_)), np.float32)
        for first in range(0, len(texts), CHUNK_TEXTS):
            part = slice(first, first + CHUNK_TEXTS)
            logits[part] = self._network.logits(self._encode(texts[part]))
        return logits

    def _encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        # As in training: no special pieces, cut; a text without any known piece is one of padding.
        longest = self._model.max_pieces
        encoded = [ids[:longest] for ids in self._encoder.encode([text.strip() for text in texts])]
        return [ids if self._encoder.knows(ids) else EMPTY_TEXT_IDS for ids in encoded]


def _validate_texts(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str):
        raise TypeError("expected a sequence of texts, got one text; write [text]")
    texts = list(texts)
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"text {number} is of type {type(text).__name__}, expected str")
    return texts


def _load_network(model: ExportedModel, threads: int, batch_size: int, compiled: bool) -> "OnnxNetwork | LookupNetwork":
    if model.look_up is not None:
        return load_lookup_network(model.look_up, len(model.labels), compiled)
    from gendist.predict import onnx_network  # not above: tables need no ONNX runtime, which takes time to load

    return onnx_network.OnnxNetwork(model.network, len(model.labels), threads, batch_size)
