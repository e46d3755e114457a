"""How a causal language model is read token by token: in float32, or in 8-bit integers."""

import copy
from typing import Any

import torch
from transformers import DynamicCache

from gendist.int8.decoder import Cache
from gendist.int8.fused import decoder_for
from gendist.packed import pack_linear_layers


class FloatReader:
    """Any model of transformers in float32."""

    def __init__(self, model: Any) -> None:
        """Take a model in evaluation mode; it is not changed."""
        self.model = model
        self.fast_model = pack_linear_layers(copy.deepcopy(model)) if model.device.type == "cpu" else model
        self._cache: DynamicCache
        self._exact_model: Any = None

    def begin(self, tokens: torch.Tensor, places: int) -> None:
        """Read all but the last of some tokens (rows, n), of rows that will have ``places`` tokens at most."""
        self._cache = DynamicCache(config=self.model.config)
        if tokens.shape[1] > 1:  # without the output layer, whose logits of a prompt nobody needs
            self.fast_model.base_model(input_ids=tokens[:, :-1], past_key_values=self._cache, use_cache=True)

    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """Read the last of the tokens (rows, n); return the logits of the next, (rows, vocabulary) float32."""
        output = self.fast_model(input_ids=tokens[:, -1:], past_key_values=self._cache, use_cache=True)
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits

    def select(self, rows: torch.Tensor) -> None:
        """Keep some of the rows."""
        self._cache.batch_select_indices(rows)

    def exact_logits(self, tokens: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Return the next token's logits of one row (1, n) in float64, from all of its tokens."""
        if self._exact_model is None:
            self._exact_model = copy.deepcopy(self.model).double()
        exact: torch.Tensor = self._exact_model(input_ids=tokens, use_cache=False).logits[:, -1].double()
        return exact


class IntegerReader:
    """GPT-2 and BERT in integers."""

    def __init__(self, model: Any) -> None:
        """Take a float32 model; it is not changed.

        Raises:
            GendistError: if it is of another architecture.
        """
        self.decoder = decoder_for(model)
        self._cache: Cache

    def begin(self, tokens: torch.Tensor, places: int) -> None:
        """Read all but the last of some tokens (rows, n), of rows that will have ``places`` tokens at most."""
        self._cache = self.decoder.empty_cache(len(tokens), places)
        for place in range(tokens.shape[1] - 1):
            self.decoder.step(tokens[:, place], place, self._cache)

    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """Read the last of the tokens (rows, n); return the logits of the next, (rows, vocabulary) float32."""
        return self.decoder.logits(self.decoder.step(tokens[:, -1], tokens.shape[1] - 1, self._cache))

    def select(self, rows: torch.Tensor) -> None:
        """Keep some of the rows."""
        self._cache.select(rows)

    def exact_logits(self, tokens: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Return the same logits in float64: they are exact, only what is made of them is not."""
        return logits.double()
