"""Texts to labels and calibrated probabilities, by an exported student."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from gendist.errors import GendistError
from gendist.predict.model import Model, read_model

BATCH = 64
"""Rows that the network gets at once; on one core, larger batches were no faster."""


class TextClassifier:
    """An exported student with the conventions of scikit-learn's classifiers.

    A text's result does not depend on the others it is asked for with, up to the last digits of float32.
    An instance may be used by several threads at once.
    """

    def __init__(self, model: Model, threads: int = 1, batch_size: int = BATCH) -> None:
        """Make one from a model that has been read; see ``load``."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Weights become float32 once, at the start, and not at every call.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        try:
            self._session = onnxruntime.InferenceSession(model.network, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's exceptions have no base of their own
            raise GendistError(f"the model cannot be loaded ({str(error).splitlines()[0]})") from None
        inputs = {entry.name for entry in self._session.get_inputs()}
        outputs = {entry.name: entry.shape for entry in self._session.get_outputs()}
        if inputs != {"ids", "mask"} or outputs.get("logits", [])[1:] != [len(model.labels)]:
            raise GendistError(
                f"the model does not fit its description: it maps {', '.join(sorted(inputs))} to {outputs}, expected "
                f"ids, mask to logits of {len(model.labels)} classes; export it again"
            )
        try:
            self._tokenizer = Tokenizer.from_str(model.tokenizer)
        except Exception as error:  # the library raises nothing narrower
            raise GendistError(f"the model's tokenizer cannot be loaded ({str(error).splitlines()[0]})") from None
        self._model = model
        self.batch_size = batch_size
        self.classes_ = np.array(model.labels)
        """Label names in the order of the probabilities' columns, (classes,)."""

    @classmethod
    def load(cls, folder: str | Path, int8: bool = True, threads: int = 1, batch_size: int = BATCH) -> "TextClassifier":
        """Read a folder that ``gendist export`` made.

        Args:
            folder: the exported model.
            int8: take the file with 8-bit weights, a quarter of the size; else the float32 one.
            threads: CPU threads of the network (the tokenizer heeds RAYON_NUM_THREADS).
            batch_size: rows that the network gets at once.

        Raises:
            GendistError: if the folder holds no exported model, or a damaged one.
        """
        return cls(read_model(Path(folder), int8), threads, batch_size)

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

        Raises:
            TypeError: if ``texts`` is one text, or one of them is none.
        """
        encoded = self._encode(texts)
        logits = np.empty((len(encoded), len(self.classes_)), np.float32)
        # Texts of like length together, so that little is padded.
        order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
        for first in range(0, len(order), self.batch_size):
            picks = order[first : first + self.batch_size]
            ids, mask = _padded([encoded[i] for i in picks])
            logits[picks] = self._run(ids, mask)
        return logits

    def _run(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        try:
            found: np.ndarray = self._session.run(["logits"], {"ids": ids, "mask": mask})[0]
        except Exception as error:  # a tokenizer of more pieces than the network has embeddings, say
            raise GendistError(f"the model cannot be run ({str(error).splitlines()[0]})") from None
        if found.shape != (len(ids), len(self.classes_)):
            raise GendistError(f"the model gives {found.shape} for {len(ids)} texts of {len(self.classes_)} classes")
        return found

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        if isinstance(texts, str):
            raise TypeError("expected a sequence of texts, got one text; write [text]")
        texts = list(texts)
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(f"text {number} is of type {type(text).__name__}, expected str")
        # As in training: no special pieces, cut; a text without any piece keeps one of padding.
        encodings = self._tokenizer.encode_batch_fast([text.strip() for text in texts], add_special_tokens=False)
        return [encoding.ids[: self._model.max_pieces] or [0] for encoding in encodings]


def _padded(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return ids and mask, each (rows, longest) int64, padded on the right."""
    ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
    mask = np.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask
