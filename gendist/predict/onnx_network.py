"""An exported network in ONNX Runtime."""

from collections.abc import Sequence

import numpy as np
import onnxruntime

from gendist.errors import GendistError


class OnnxNetwork:
    """Runs any student, in batches of texts of similar length."""

    def __init__(self, model: bytes, n_classes: int, threads: int, batch_size: int) -> None:
        """Create the session.

        Args:
            model: bytes of an ONNX file.
            n_classes: expected number of classes.
            threads: intra-op threads.
            batch_size: rows per call.

        Raises:
            GendistError: if the model cannot be loaded, or has other inputs or outputs.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Dequantise the weights once at load time, not in every call.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has no common exception class
            raise GendistError(f"the model cannot be loaded ({str(error).splitlines()[0]})") from None
        inputs = {entry.name for entry in self._session.get_inputs()}
        outputs = {entry.name: entry.shape for entry in self._session.get_outputs()}
        if inputs != {"ids", "mask"} or outputs.get("logits", [])[1:] != [n_classes]:
            raise GendistError(
                f"the model does not fit its description: inputs {', '.join(sorted(inputs))}, outputs {outputs}; "
                f"expected inputs ids, mask and output logits of {n_classes} classes; export it again"
            )
        self._n_classes, self._batch_size = n_classes, batch_size

    def logits(self, texts: Sequence[np.ndarray]) -> np.ndarray:
        """Map token ids, (pieces >= 1,) per text, to logits (texts, classes) float32.

        Raises:
            GendistError: if the network fails on these ids.
        """
        logits = np.empty((len(texts), self._n_classes), np.float32)
        # Sort by length to reduce padding.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for start in range(0, len(order), self._batch_size):
            batch = order[start : start + self._batch_size]
            ids, mask = _pad([texts[i] for i in batch])
            logits[batch] = self._run(ids, mask)
        return logits

    def _run(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        try:
            found: np.ndarray = self._session.run(["logits"], {"ids": ids, "mask": mask})[0]
        except Exception as error:  # such as an id outside the embedding
            raise GendistError(f"the model cannot be run ({str(error).splitlines()[0]})") from None
        if found.shape != (len(ids), self._n_classes):
            raise GendistError(
                f"the model returned logits of shape {found.shape}, expected ({len(ids)}, {self._n_classes})"
            )
        return found


def _pad(rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return ids and mask, each (rows, longest) int64, padded on the right."""
    ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
    mask = np.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask
