"""How a causal language model is read token by token: in float32, or in 8-bit integers."""

import copy
from typing import Any, Protocol

import torch
from transformers import DynamicCache

from gendist.nn.int8_decoder import Decoder
from gendist.nn.packed_linear import pack_linear_layers
from gendist.stages.synthetic.batch_slots import Slots


class Reader(Protocol):
    """What reads rows in slots, which are kept on the CPU."""

    refills: bool
    """Whether a row can begin beside others that are under way."""

    def begin(self, slots: Slots) -> None:
        """Make room."""

    def read(self, slots: Slots, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Read one more token of the rows in some slots, (rows,).

        Returns:
            Which of the slots have read all of their prompt, and the logits of what follows there, float32.
        """

    def exact_logits(self, tokens: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Return the next token's logits of one row (1, n) in float64, given those that were read."""


class FloatReader:
    """Any model of transformers in float32. How it counts places is its own matter, so all rows are at the same one."""

    refills = False

    def __init__(self, model: Any) -> None:
        """Take a model in evaluation mode; it is not changed."""
        self.model = model
        self.fast_model = pack_linear_layers(copy.deepcopy(model)) if model.device.type == "cpu" else model
        self._cache: DynamicCache
        self._held: torch.Tensor
        """Slots whose rows are in the cache."""
        self._exact_model: Any = None

    def begin(self, slots: Slots) -> None:
        """Make room: there is nothing to do."""

    def read(self, slots: Slots, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Read one more token of the rows in some slots, at the first time their prompts, which are of one length."""
        if slots.places[rows[0]] == 0:
            self._cache, self._held = DynamicCache(config=self.model.config), rows
            slots.places[rows] = slots.prompts[rows] - 1
            prompts = slots.texts[rows, : int(slots.places[rows[0]])].to(self.model.device)
            if prompts.shape[1]:  # without the output layer, whose logits of a prompt nobody needs
                self.fast_model.base_model(input_ids=prompts, past_key_values=self._cache, use_cache=True)
        if len(rows) < len(self._held):
            self._cache.batch_select_indices(torch.searchsorted(self._held, rows).to(self.model.device))
            self._held = rows
        tokens = slots.texts[rows, slots.places[rows]][:, None].to(self.model.device)
        output = self.fast_model(input_ids=tokens, past_key_values=self._cache, use_cache=True)
        return rows, output.logits[:, -1].float()

    def exact_logits(self, tokens: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Return the next token's logits of one row (1, n) in float64, from all of its tokens, alone."""
        if self._exact_model is None:
            self._exact_model = copy.deepcopy(self.model).double()
        output = self._exact_model(input_ids=tokens.to(self.model.device), use_cache=False)
        exact: torch.Tensor = output.logits[:, -1].double()
        return exact


class IntegerReader:
    """GPT-2 and BERT in integers, on a CPU."""

    refills = True

    def __init__(self, decoder: Decoder) -> None:
        """Take a decoder."""
        self.decoder = decoder
        self._cache: Any = None

    def begin(self, slots: Slots) -> None:
        """Make room for what the slots hold."""
        self._cache = None  # its memory first: there may not be enough for both
        self._cache = self.decoder.empty_cache(len(slots), slots.texts.shape[1])

    def read(self, slots: Slots, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Read one more token of the rows in some slots; a prompt is read like what follows it."""
        places = slots.places[rows]
        states = self.decoder.step(slots.texts[rows, places], places, self._cache, rows)
        through = ~slots.given[rows]
        if not through.all():
            rows, states = rows[through], states[through]
        return rows, self.decoder.logits(states) if len(rows) else states

    def exact_logits(self, tokens: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Return the same logits in float64: they are exact, only what is made of them is not."""
        return logits.double()
