"""Text embeddings of a frozen sentence encoder: mean-pooled hidden states, L2-normalised."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from gendist.nn.packed_linear import pack_linear_layers
from gendist.nn.padding import pad_batch
from gendist.nn.pretrained import load_encoder, load_tokenizer, resolve_model_path
from gendist.stages.baselines.linear_head import LinearHead
from gendist.stages.evaluation.predictor import Predictor
from gendist.stages.logits.batched_logits import TOKEN_BUDGET, tokenise

MAX_TOKENS = 128
"""Truncation length, equal to that of the embedded teacher."""
ENCODER_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
"""Files of a transformers folder that inference needs."""


class SentenceEncoder:
    """A frozen encoder and its tokenizer."""

    def __init__(self, model: str) -> None:
        """Load an encoder by embedded name or folder.

        Raises:
            GendistError: if it cannot be loaded.
        """
        self.folder = Path(resolve_model_path(model))
        self.tokenizer = load_tokenizer(model)
        loaded: Any = load_encoder(model)
        self.n_parameters = sum(p.numel() for p in loaded.encoder.parameters())
        self.model = pack_linear_layers(loaded.eval())

    @torch.inference_mode()
    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return unit vectors (texts, width), float32, in input order."""
        encoded = tokenise(self.tokenizer, texts, MAX_TOKENS, self.model)
        order = sorted(range(len(encoded)), key=lambda i: (len(encoded[i]), i))
        vectors = np.empty((len(encoded), self.model.config.hidden_size), np.float32)
        while order:
            rows = max(1, TOKEN_BUDGET // len(encoded[order[-1]]))
            indices, order = order[-rows:], order[:-rows]  # longest texts first
            ids, mask = pad_batch([encoded[i] for i in indices], self.tokenizer.pad_token_id or 0)
            vectors[indices] = functional.normalize(self.model.embed(ids, mask)).numpy()
        return vectors


def encoder_predictor(encoder: SentenceEncoder, head: LinearHead, head_file: Path) -> Predictor:
    """Combine an encoder and a linear head into a predictor."""
    files = [encoder.folder / name for name in ENCODER_FILES]
    return Predictor(
        lambda texts: head.logits(encoder.embed(texts)).argmax(1),
        [head_file, *(file for file in files if file.is_file())],
        "torch",
    )
