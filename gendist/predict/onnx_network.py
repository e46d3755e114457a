"""An exported network in the ONNX runtime."""

from collections.abc import Sequence

import numpy as np
import onnxruntime

from gendist.errors import GendistError


class OnnxNetwork:
    """Any student, in batches of texts of like length."""

    def __init__(self, content: bytes, classes: int, threads: int, batch_size: int) -> None:
        """Load the bytes of an ONNX file, which must give so many classes.

        Raises:
            GendistError: if they cannot be loaded, or map something else.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Weights become float32 once, at the start, and not at every call.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's exceptions have no base of their own
            raise GendistError(f"the model cannot be loaded ({str(error).splitlines()[0]})") from None
        inputs = {entry.name for entry in self._session.get_inputs()}
        outputs = {entry.name: entry.shape for entry in self._session.get_outputs()}
        if inputs != {"ids", "mask"} or outputs.get("logits", [])[1:] != [classes]:
            raise GendistError(
                f"the model does not fit its description: it maps {', '.join(sorted(inputs))} to {outputs}, expected "
                f"ids, mask to logits of {classes} classes; export it again"
            )
        self._classes, self._batch_size = classes, batch_size

    def logits(self, texts: Sequence[np.ndarray]) -> np.ndarray:
        """Map ids of pieces, one or more to a text, to logits: (texts, classes) float32.

        Raises:
            GendistError: if the network cannot take these ids.
        """
        logits = np.empty((len(texts), self._classes), np.float32)
        # Texts of like length together, so that little is padded.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for first in range(0, len(order), self._batch_size):
            picks = order[first : first + self._batch_size]
            ids, mask = _pad([texts[i] for i in picks])
            logits[picks] = self._run(ids, mask)
        return logits

    def _run(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        try:
            found: np.ndarray = self._session.run(["logits"], {"ids": ids, "mask": mask})[0]
        except Exception as error:  # a tokenizer of more pieces than the network has embeddings, say
            raise GendistError(f"the model cannot be run ({str(error).splitlines()[0]})") from None
        if found.shape != (len(ids), self._classes):
            raise GendistError(f"the model gives {found.shape} for {len(ids)} texts of {self._classes} classes")
        return found


def _pad(rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return ids and mask, each (rows, longest) int64, padded on the right."""
    ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
    mask = np.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask
